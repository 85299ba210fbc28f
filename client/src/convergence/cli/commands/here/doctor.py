"""`convergence doctor`: what is wrong with an installation."""

import typer
from convergence.cli.invocation import Invocation
from convergence.cli.noun import declare


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    declare(app, "doctor", path="doctor", example="convergence doctor")(doctor)


def doctor(cli: Invocation) -> None:
    """Find out what is wrong with an installation."""
