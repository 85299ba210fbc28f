"""`convergence up` and `convergence demo`: the whole suite on this machine."""

from typing import NoReturn

import typer
from convergence.cli.exits import ExitCode
from convergence.cli.invocation import Invocation
from convergence.cli.noun import declare
from convergence.cli.repository import Repository


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    declare(app, "up", path="up", example="convergence up")(up)
    declare(app, "demo", path="demo", example="convergence demo")(demo)


def up(cli: Invocation) -> None:
    """Start the whole suite on this machine until Ctrl-C (`make up`). Needs a clone of the repository."""
    _make(cli, "up")


def demo(cli: Invocation) -> None:
    """Run the flows on this machine, and say what comes back (`make demo`). Needs a clone of the repository."""
    _make(cli, "demo")


def _make(cli: Invocation, task: str) -> NoReturn:
    code = Repository.here().run("make", task).code
    # Below 0: a signal has ended it, as Ctrl-C does.
    cli.end(code if code >= 0 else ExitCode.INTERRUPTED)
