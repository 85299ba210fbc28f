"""The suite that `make up` has started in the clone around the working directory."""

from pathlib import Path

from convergence.cli.options import UsageProblem
from convergence.cli.repository import Repository

_FILE = Path(".local") / "env"


def laptop_environment() -> dict[str, str]:
    """The variables for its callers. Raises UsageProblem if it is not up, or never was."""
    path = Repository.here().root / _FILE
    try:
        lines = path.read_text().splitlines()
    except OSError:
        raise UsageProblem(f"There is no {path}: start the suite with `make up`, and try again once it is ready.") from None
    return read_exports(lines)


def read_exports(lines: list[str]) -> dict[str, str]:
    """`NAME=value` a line, with or without `export` and quotes. Pure."""
    found = {}
    for line in lines:
        name, sign, value = line.removeprefix("export ").partition("=")
        if sign and not name.startswith("#"):
            found[name.strip()] = value.strip().strip("'\"")
    return found
