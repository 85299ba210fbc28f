"""Tables: columns that know how to show a row; as plain aligned text, or drawn for a terminal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from convergence.cli.output.printable import one_line
from rich import box
from rich.table import Table
from rich.text import Text

_GOOD = frozenset({"COMPLETED", "PASSED", "ACTIVE", "WORKS", "DELIVERED", "OK", "SUCCESS", "STEP_COMPLETED", "FINAL", "ENABLED"})
_BAD = frozenset(
    {"FAILED", "REFUSED", "OPEN", "LACKS", "MISSING", "STEP_FAILED", "OFFBOARDED", "SUSPENDED", "REVOKED", "OVERDUE", "EXPIRED", "PROBLEM"}
)
_BUSY = frozenset({"RUNNING", "PROCESSING", "QUEUED", "PENDING", "SETTLING", "UNKNOWN", "WARNING", "CANCELLED", "STEP_STARTED"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column."""

    title: str
    text: Callable[[Any], str]
    """The cell of a row."""
    is_number: bool = False
    """True: to the right."""
    is_long: bool = False
    """True: a sentence, which a terminal may break into lines; other cells stay on one."""


def column(title: str, text: Callable[[Any], str]) -> Column:
    """A column of words."""
    return Column(title=title, text=text)


def number(title: str, text: Callable[[Any], str]) -> Column:
    """A column of numbers."""
    return Column(title=title, text=text, is_number=True)


def sentence(title: str, text: Callable[[Any], str]) -> Column:
    """A column of sentences."""
    return Column(title=title, text=text, is_long=True)


def plain(columns: Sequence[Column], rows: Sequence[Any]) -> str:
    """Aligned text with a head, two spaces between columns, nothing cut off; line breaks in cells become spaces."""
    cells = [[one_line(one.title) for one in columns], *([one_line(one.text(row)) for one in columns] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    return "\n".join("  ".join(_aligned(line, widths, columns)).rstrip() for line in cells)


def drawn(columns: Sequence[Column], rows: Sequence[Any]) -> Table:
    """The same for a terminal, with colours for the words of statuses."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    for one in columns:
        table.add_column(Text(one_line(one.title)), justify="right" if one.is_number else "left", no_wrap=not one.is_long, overflow="fold")
    for row in rows:
        table.add_row(*(Text(text, style=style_of(text)) for text in (one_line(one.text(row)) for one in columns)))
    return table


def style_of(text: str) -> str:
    """The colour of a status; empty for any other text."""
    for words, style in ((_GOOD, "green"), (_BAD, "bold red"), (_BUSY, "yellow")):
        if text in words:
            return style
    return ""


def _aligned(line: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> list[str]:
    return [cell.rjust(width) if one.is_number else cell.ljust(width) for cell, width, one in zip(line, widths, columns, strict=True)]
