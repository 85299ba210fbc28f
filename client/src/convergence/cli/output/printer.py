"""Where everything is printed: answers on stdout, remarks and errors on stderr."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from convergence.cli.output.dialect import as_dict, as_json
from convergence.cli.output.printable import one_line, printable
from convergence.cli.output.screen import Screen
from convergence.cli.output.table import Column, drawn, plain, style_of
from google.protobuf.message import Message
from rich.console import RenderableType
from rich.text import Text


@dataclass(frozen=True, kw_only=True, slots=True)
class Printer:
    """`is_json`: programs read it. Else people do, on a terminal or, in plain text, through a pipe."""

    is_json: bool
    out: Screen
    err: Screen

    @classmethod
    def of(cls, *, is_json: bool) -> "Printer":
        """For this process's own stdout and stderr, as they are now."""
        return cls(is_json=is_json, out=Screen.of(sys.stdout), err=Screen.of(sys.stderr))

    @property
    def is_drawn(self) -> bool:
        """Whether a person looks at stdout, on a terminal."""
        return self.out.is_terminal and not self.is_json

    def rows(self, rows: Iterable[Any], columns: Sequence[Column], *, empty: str, shown: Callable[[Any], Any] = as_dict) -> None:
        """A list: a table; as JSON one array. `empty`: what people read instead of a table without rows. `shown`: a row as JSON."""
        found = list(rows)
        if self.is_json:
            self.json([shown(row) for row in found])
        elif not found:
            self.remark(empty)
        elif self.is_drawn:
            self.out.print(drawn(columns, found))
        else:
            self.text(plain(columns, found))

    def table(self, title: str, rows: Sequence[Any], columns: Sequence[Column]) -> None:
        """A part of an answer under a heading, for people only; nothing if it has no rows."""
        if rows:
            self.part(f"{title}", style="bold")
            if self.is_drawn:
                self.out.print(drawn(columns, rows))
            else:
                self.text(plain(columns, rows))

    def record(self, message: Message, fields: Sequence[tuple[str, str]]) -> None:
        """One thing: its fields below each other; as JSON one object."""
        if self.is_json:
            self.json(as_dict(message))
        else:
            self.fields(fields)

    def fields(self, fields: Sequence[tuple[str, str]]) -> None:
        """Names and values below each other, for people."""
        width = max(len(name) for name, _ in fields)
        for name, value in fields:
            below = f"\n{' ' * (width + 2)}"  # a value with line breaks does not pass for other fields
            line = Text(f"{name.ljust(width)}  ", style="bold") + Text(printable(value).replace("\n", below), style=style_of(value))
            self.out.print(line, soft_wrap=True)

    def json(self, value: object) -> None:
        """One JSON value, with line breaks."""
        self._write(as_json(value, indent=2))

    def line(self, value: object) -> None:
        """One JSON value on one line, at once: for what goes on, read line by line."""
        self._write(as_json(value))

    def part(self, text: str, *, style: str = "") -> None:
        """The first line of another part of the answer, for people, after an empty one."""
        self.text(f"\n{one_line(text)}", style=style)

    def text(self, text: str, *, style: str = "") -> None:
        """A part of the answer, for people, with the line breaks that it has."""
        self.out.print(Text(printable(text), style=style), soft_wrap=True)

    def drawing(self, drawing: RenderableType) -> None:
        """What is more than text, in one piece."""
        self.out.print(drawing, soft_wrap=True)

    def verbatim(self, text: str) -> None:
        """A text that another program reads as it is, but for what would control a terminal."""
        self._write(printable(text))

    def remark(self, text: str) -> None:
        """What a person may want to know besides the answer; never part of it."""
        if not self.is_json:
            self.err.print(Text(one_line(text), style="dim"), soft_wrap=True)

    def problem(self, text: str, *more: str) -> None:
        """An error: the first line says what is wrong."""
        self.err.print(Text("Error: ", style="bold red") + Text(one_line(text)), soft_wrap=True)
        for line in more:
            self.err.print(Text(f"  {one_line(line)}"), soft_wrap=True)

    def _write(self, text: str) -> None:
        self.out.file.write(f"{text}\n")
        self.out.file.flush()
