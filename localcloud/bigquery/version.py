"""The version of local-bigquery that our changes were written for."""

from importlib.metadata import version

VERSION = "0.3.2"


def require_known_version() -> None:
    """Raises RuntimeError for another one: then read anew what the modules of this package replace, run their tests
    (`tests/integration/localcloud`), and change VERSION.
    """
    if version("local-bigquery") != VERSION:
        raise RuntimeError(f"local-bigquery is {version('local-bigquery')}; what localcloud replaces in it is that of {VERSION}")
