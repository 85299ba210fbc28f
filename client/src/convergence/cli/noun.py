"""How a command is declared: `convergence NOUN VERB`, with the options that all commands share, and an example that docs and tests use."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from convergence.cli.invocation import Invocation, Shared

Body = Callable[..., None]
"""What a command does: takes the Invocation, then what the command line says."""

SHARED: Final[dict[str, Any]] = {
    "json": Annotated[bool, typer.Option("--json", help="Print JSON, for programs.", rich_help_panel="All commands")],
    "profile": Annotated[
        str,
        typer.Option(
            "--profile",
            help="The profile to use; else CONVERGENCE_PROFILE, else the default one.",
            show_default=False,
            rich_help_panel="All commands",
        ),
    ],
    "url": Annotated[
        str, typer.Option("--url", help="The gateway, instead of the profile's.", show_default=False, rich_help_panel="All commands")
    ],
    "tenant": Annotated[
        str,
        typer.Option("--tenant", "-t", help="The tenant, instead of the profile's.", show_default=False, rich_help_panel="All commands"),
    ],
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Verb:
    """A command, as docs/cli.md describes it."""

    path: str
    """E.g. `run start`; of a command without a noun, e.g. `doctor`."""
    help: str
    example: str
    """A command line that works, without what depends on the installation."""


_verbs: dict[str, Verb] = {}


def verbs() -> Iterator[Verb]:
    """All commands that were declared, in order."""
    yield from _verbs.values()


class Noun:
    """A group of commands. `app` is what the program adds."""

    def __init__(self, name: str, help: str) -> None:  # noqa: A002 - as typer calls it
        self.name = name
        self.app = typer.Typer(name=name, help=help, no_args_is_help=True, rich_markup_mode=None)

    def command(self, name: str, *, example: str) -> Callable[[Body], Body]:
        """Declares a command of this noun."""
        return declare(self.app, name, path=f"{self.name} {name}", example=example)


def declare(app: typer.Typer, name: str, *, path: str, example: str) -> Callable[[Body], Body]:
    """Declares a command of `app`. Its docstring is its help; its first parameter is the Invocation, the others typer's."""

    def declared(body: Body) -> Body:
        help_text = inspect.getdoc(body) or ""
        _verbs[path] = Verb(path=path, help=help_text, example=example)
        app.command(name, help=help_text, epilog=f"Example: {example}")(_run(body))
        return body

    return declared


def with_shared(about: Body) -> Body:
    """The callback of the whole program: `about`, plus the shared options, which hold for the command unless it gives its own."""

    def run(ctx: typer.Context, **given: Any) -> None:
        ctx.obj = _taken(given)
        about(**given)

    return _declaring(run, list(inspect.signature(about).parameters.values()))


def _run(body: Body) -> Body:
    """The function that typer calls: `body` without its Invocation, plus the shared options."""

    def run(ctx: typer.Context, **given: Any) -> None:
        shared = _taken(given)
        before = ctx.find_root().obj
        with Invocation.of(shared.over(before) if isinstance(before, Shared) else shared) as invocation:
            body(invocation, **given)

    return _declaring(run, list(inspect.signature(body).parameters.values())[1:])


def _taken(given: dict[str, Any]) -> Shared:
    return Shared(**{name: given.pop(name) for name in SHARED})


def _declaring(run: Body, own: list[inspect.Parameter]) -> Body:
    """`run` with the parameters that typer reads from a function: the context, a command's own, and the shared ones."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("ctx", keyword, annotation=typer.Context),
        *(one.replace(kind=keyword) for one in own),
        *(
            inspect.Parameter(name, keyword, default=False if name == "json" else "", annotation=annotation)
            for name, annotation in SHARED.items()
        ),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run
