"""The version of local-bigquery that our changes were written for."""

from importlib.metadata import version

VERSION = "0.3.2"


def require_known_version() -> None:
    """Raises RuntimeError for another one: then read what our `bigquery_*.py` replace anew, run its tests, and change VERSION."""
    if version("local-bigquery") != VERSION:
        raise RuntimeError(f"local-bigquery is {version('local-bigquery')}; what localcloud replaces in it is that of {VERSION}")
