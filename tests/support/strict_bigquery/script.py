"""A script as BigQuery runs it: one statement after the other, read off its text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

_NOISE = re.compile(r"--[^\n]*|#[^\n]*|/\*.*?\*/|'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"", re.DOTALL)
_IF = re.compile(r"(?:ELSE)?IF\b(?P<condition>.*?)\bTHEN\b(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_OPENING = re.compile(r"(?:ELSE\b|BEGIN\s+(?!TRANSACTION\b))", re.IGNORECASE)
"""What a statement may stand behind: of an IF, or of a block."""
_BEGIN = re.compile(r"BEGIN(\s+TRANSACTION)?\s*$", re.IGNORECASE)
_COMMIT = re.compile(r"COMMIT\b", re.IGNORECASE)
_DML = re.compile(r"(?P<verb>UPDATE|DELETE|MERGE|INSERT)(?:\s+(?:INTO|FROM))?\s+(?P<table>`[^`]+`|[\w.-]+)", re.IGNORECASE)
_DDL = re.compile(r"(?:CREATE|ALTER|DROP|TRUNCATE|EXPORT|LOAD)\b", re.IGNORECASE)
_MADE = re.compile(r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:TEMP\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<table>`[^`]+`|[\w.-]+)", re.IGNORECASE)
_GONE = re.compile(r"DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?P<table>`[^`]+`|[\w.-]+)", re.IGNORECASE)
_QUERY = re.compile(r"\bSELECT\b", re.IGNORECASE)


class Kind(Enum):
    """What a statement does as far as others are concerned."""

    BEGIN = auto()
    COMMIT = auto()
    MUTATION = auto()
    """UPDATE, DELETE or MERGE."""
    INSERT = auto()
    DDL = auto()
    QUERY = auto()


CHANGES = frozenset({Kind.COMMIT, Kind.MUTATION, Kind.INSERT, Kind.DDL})


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One statement of a script."""

    kind: Kind
    table: str = ""
    """`dataset.table` of what DML changes."""


def parse(sql: str, dataset: str) -> list[Statement]:
    """The statements in the order of the text; bare names stand in `dataset`. What takes no time (DECLARE, SET without a query,
    ROLLBACK, END) is left out.
    """
    return [statement for piece in _NOISE.sub(" ", sql).split(";") for statement in _statements(piece.strip(), dataset)]


def tables_made(sql: str, dataset: str) -> list[str]:
    """The tables that CREATE TABLE statements make."""
    return [_name(made["table"], dataset) for made in _MADE.finditer(_NOISE.sub(" ", sql))]


def tables_dropped(sql: str, dataset: str) -> list[str]:
    """The tables that DROP TABLE statements take away."""
    return [_name(gone["table"], dataset) for gone in _GONE.finditer(_NOISE.sub(" ", sql))]


def _statements(piece: str, dataset: str) -> Iterator[Statement]:
    if branch := _IF.match(piece):
        if _QUERY.search(branch["condition"]):
            yield Statement(kind=Kind.QUERY)
        yield from _statements(branch["rest"].strip(), dataset)
    elif opening := _OPENING.match(piece):
        yield from _statements(piece[opening.end() :].strip(), dataset)
    elif _BEGIN.match(piece):
        yield Statement(kind=Kind.BEGIN)
    elif _COMMIT.match(piece):
        yield Statement(kind=Kind.COMMIT)
    elif change := _DML.match(piece):
        kind = Kind.INSERT if change["verb"].upper() == "INSERT" else Kind.MUTATION
        yield Statement(kind=kind, table=_name(change["table"], dataset))
    elif _DDL.match(piece):
        yield Statement(kind=Kind.DDL)
    elif _QUERY.search(piece):
        yield Statement(kind=Kind.QUERY)


def _name(text: str, dataset: str) -> str:
    """`dataset.table` of a bare name, of `d.t`, or of `p.d.t`."""
    parts = text.strip("`").split(".")
    return ".".join(parts[-2:]) if len(parts) > 1 else f"{dataset}.{parts[0]}"
