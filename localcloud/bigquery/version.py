"""The version of local-bigquery that our changes were written for."""

from importlib.metadata import version

VERSION = "0.3.2"


def require_known_version() -> None:
    """Raises RuntimeError for another version. Then review the functions that this package replaces, run the tests
    (`tests/integration/localcloud`), and change VERSION.
    """
    if version("local-bigquery") != VERSION:
        raise RuntimeError(f"local-bigquery is {version('local-bigquery')}; what localcloud replaces in it is that of {VERSION}")
