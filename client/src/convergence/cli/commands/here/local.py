"""`convergence up` and `convergence demo`: the whole suite on this machine."""

import typer
from convergence.cli.invocation import Invocation
from convergence.cli.noun import declare
from convergence.cli.repository import Repository


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    declare(app, "up", path="up", example="convergence up")(up)
    declare(app, "demo", path="demo", example="convergence demo")(demo)


def up(cli: Invocation) -> None:
    """Start the whole suite on this machine until Ctrl-C (`make up`). Needs a clone of the repository."""
    cli.end(Repository.here().run("make", "up").code)


def demo(cli: Invocation) -> None:
    """Run the flows on this machine, and say what comes back (`make demo`). Needs a clone of the repository."""
    cli.end(Repository.here().run("make", "demo").code)
