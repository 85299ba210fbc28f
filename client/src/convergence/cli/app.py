"""The program `convergence`: its commands, and how it ends."""

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache
from typing import Annotated, Any, TextIO, cast

import typer
from convergence.cli.commands.here import api, doctor, local, login, profiles
from convergence.cli.commands.operator import audit, fleet, jobs, keys, runs, tenants
from convergence.cli.commands.tenant import costs, credentials, quality, queue, quota, run, schedules, templates, usage, validate
from convergence.cli.exits import ExitCode
from convergence.cli.noun import with_shared
from convergence.cli.options import UsageProblem
from convergence.cli.output.dialect import as_json
from convergence.cli.output.guarded import Guarded, OutputLost, ReaderGone
from convergence.cli.output.own_commands import in_commands
from convergence.cli.output.printer import Printer
from convergence.cli.problems import Problem, problem_of
from convergence.client.channels import client_version
from convergence.client.errors import ConvergenceError
from typer.main import get_command

NAME = "convergence"
DEBUG = "CONVERGENCE_DEBUG"
"""Set to anything: what breaks in this program shows where."""
_ADDED = (login, doctor, local, api, validate, quota, usage, quality, fleet, audit)
_NOUNS = (profiles, run, templates, credentials, schedules, queue, costs, tenants, keys, runs, jobs)


def new_app() -> typer.Typer:
    """All commands. Nothing of typer's that prints local variables, which may be secrets."""
    app = typer.Typer(name=NAME, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, help=_about.__doc__)
    app.callback()(with_shared(_about))
    for module in _ADDED:
        module.add_to(app)
    for module in _NOUNS:
        app.add_typer(module.noun.app)
    return app


@cache
def program() -> Any:
    """The same for click, which runs it. Made once: it takes half of what most commands take, and a process may run many."""
    return get_command(new_app())


def _about(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=lambda wanted: _print_version(wanted=wanted))
    ] = False,
) -> None:
    """Convergence: cloud-cost pipelines for many tenants. Begin with `convergence login`; `convergence doctor` finds out what is wrong."""


def _print_version(*, wanted: bool) -> None:
    if wanted:
        print(f"{NAME} {client_version()}")  # noqa: T201 - the answer
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line (without the program's name; default: this process's) and returns the exit status of `ExitCode`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    is_json = "--json" in given
    with redirect_stdout(cast("TextIO", Guarded(sys.stdout))) as out, redirect_stderr(cast("TextIO", Guarded(sys.stderr))):
        try:
            code = _run(given, is_json=is_json)
            out.flush()
        except ReaderGone:
            return int(ExitCode.READER_GONE)
        except OutputLost as lost:
            message = f"The answer cannot be written ({lost}). What was asked for may be done."
            with suppress(OutputLost):
                _show(Problem(message=message, code=ExitCode.NOT_WRITTEN), is_json=is_json)
            return int(ExitCode.NOT_WRITTEN)
    return code


def _run(given: list[str], *, is_json: bool) -> int:
    try:
        code = program().main(args=given, prog_name=NAME, standalone_mode=False)
    except (ConvergenceError, UsageProblem) as error:
        problem = problem_of(error)
    except typer.TyperException as error:
        problem = Problem(message=in_commands(error.format_message()), code=ExitCode.USAGE, advice=_help_of(error))
    except (KeyboardInterrupt, typer.Abort):
        return int(ExitCode.INTERRUPTED)
    except OutputLost:
        raise
    except Exception as error:  # noqa: BLE001 - the last place where anything can be said about it
        if os.environ.get(DEBUG):
            traceback.print_exc()
        # Not its text: it may quote what was read from a file.
        message = f"This program broke ({type(error).__name__}). That is a bug."
        problem = Problem(message=message, code=ExitCode.BROKEN, advice=f"{DEBUG}=1 shows where.")
    else:
        return code if isinstance(code, int) else int(ExitCode.OK)
    _show(problem, is_json=is_json)
    return int(problem.code)


def _show(problem: Problem, *, is_json: bool) -> None:
    if is_json:
        print(as_json(problem.as_json()), file=sys.stderr)  # noqa: T201 - JSON, which no console may wrap
    else:
        Printer.of(is_json=False).problem(problem.message, *problem.lines())


def _help_of(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"See: {context.command_path} --help" if context else ""
