"""One call of the program: what the shared options say, the client, and where the answer goes."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import NoReturn, TypeVar

import typer
from convergence.cli.options import UsageProblem
from convergence.cli.output.printer import Printer
from convergence.client import Client

T = TypeVar("T")
_PAGE = 200
"""The largest page of any list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """The options that all commands share; an empty text was not given."""

    json: bool = False
    profile: str = ""
    url: str = ""
    tenant: str = ""

    def over(self, before: "Shared") -> "Shared":
        """These; what was not given is taken from `before`. Pure."""
        return Shared(
            json=self.json or before.json,
            profile=self.profile or before.profile,
            url=self.url or before.url,
            tenant=self.tenant or before.tenant,
        )


@dataclass(kw_only=True, slots=True)
class Invocation:
    """`cli` in the commands."""

    shared: Shared
    printer: Printer
    _client: Client | None = field(default=None, init=False)

    @classmethod
    @contextmanager
    def of(cls, shared: Shared) -> Iterator["Invocation"]:
        """For this process's stdin, stdout and environment; closes the client at the end."""
        invocation = cls(shared=shared, printer=Printer.of(is_json=shared.json))
        try:
            yield invocation
        finally:
            if invocation._client is not None:
                invocation._client.close()

    @property
    def client(self) -> Client:
        """The client, connected as the options, the environment and the profile say. Raises ConfigurationError."""
        if self._client is None:
            shared = self.shared
            self._client = Client(shared.url or None, tenant_id=shared.tenant or None, profile=shared.profile or None)
        return self._client

    @property
    def tenant(self) -> str:
        """The tenant that calls are about; empty: none is given anywhere."""
        return self.client.options.tenant_id

    def some(self, rows: Iterable[T], limit: int) -> list[T]:
        """The first `limit` of a list, 0: all; a remark says if there are more."""
        rows = iter(rows)
        found = list(islice(rows, limit)) if limit else list(rows)
        if limit and next(rows, None) is not None:
            self.printer.remark(f"There are more than {limit}: --limit 0 shows all.")
        return found

    def ask(self, question: str, option: str) -> str:
        """What a person types. Raises UsageProblem where there is no terminal, naming the option that says it instead."""
        if not sys.stdin.isatty():
            raise UsageProblem(f"{question}: there is no terminal to ask on, so give {option}.")
        self.printer.err.print(f"{question}: ", end="")
        return sys.stdin.readline().strip()

    def confirm(self, question: str, *, yes: bool) -> None:
        """Returns if `yes`, or if a person says so. Raises UsageProblem otherwise: nothing is done then."""
        if not yes and self.ask(f"{question} [y/N]", "--yes").lower() not in {"y", "yes"}:
            raise UsageProblem("Not confirmed: nothing was changed.")

    def end(self, code: int) -> NoReturn:
        """Ends the program, after the answer, with an `ExitCode`, or the status of a program that it ran."""
        raise typer.Exit(int(code))


def page_of(limit: int) -> int:
    """The size of the pages in which to fetch `limit` rows and see whether there are more; 0: all. Pure."""
    return min(limit + 1, _PAGE) if limit else _PAGE
