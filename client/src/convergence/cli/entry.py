"""The entry point of `convergence`. It imports nothing that an installation without the extra `cli` lacks."""

import sys


def run_program() -> None:
    """Runs this process's command line, or says how to install what is missing."""
    try:
        from convergence.cli.app import main  # noqa: PLC0415 - may be missing
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] in {"httpx", "rich", "typer"}:
            sys.exit(f"The command line needs {error.name}: pip install 'convergence-client[cli]'")
        raise
    sys.exit(main())
