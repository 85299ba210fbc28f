"""Finds which table, view or dataset a DuckDB statement changes. Pure: it only reads the statement's text."""

import re
from dataclasses import dataclass
from enum import Enum, auto

_NAME = r'(?:"(?:[^"]|"")*"|[^\W\d][\w$]*)'
# Between two words, comments included: they are copied from the BigQuery statement.
_SPACE = r"(?:\s|/\*.*?\*/|--[^\n]*(?:\n|$))"
_WORD = re.compile(rf"{_SPACE}*([a-zA-Z]+)", re.DOTALL)
_NAMED = rf"{_SPACE}+(?P<name>{_NAME}(?:\.{_NAME})*)"
_TARGET = re.compile(
    rf"""{_SPACE}*(?:
        (?P<rows>(?P<inserted>INSERT){_SPACE}+(?:OR{_SPACE}+\w+{_SPACE}+)?INTO | UPDATE | DELETE{_SPACE}+FROM
          | TRUNCATE(?:{_SPACE}+TABLE)?)
        | (?P<made>CREATE)(?P<replaced>{_SPACE}+OR{_SPACE}+REPLACE)?{_SPACE}+(?P<what>TABLE|VIEW|SCHEMA)
          (?P<kept>{_SPACE}+IF{_SPACE}+NOT{_SPACE}+EXISTS)?
        | (?P<dropped>DROP){_SPACE}+(?:TABLE|VIEW|(?P<dataset>SCHEMA))(?:{_SPACE}+IF{_SPACE}+EXISTS)?
        | (?P<altered>ALTER){_SPACE}+(?:TABLE|VIEW)(?:{_SPACE}+IF{_SPACE}+EXISTS)?
    ){_NAMED}""",
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
_RENAMED = re.compile(rf"{_SPACE}+RENAME{_SPACE}+TO{_NAMED}", re.DOTALL | re.IGNORECASE)
_PART = re.compile(_NAME)
# `CREATE TEMP TABLE` and `CREATE MACRO` change no project.
_OF_NO_PROJECT = re.compile(
    rf"{_SPACE}*CREATE{_SPACE}+(?:OR{_SPACE}+REPLACE{_SPACE}+)?(?:TEMP|TEMPORARY|MACRO|FUNCTION)\b",
    re.DOTALL | re.IGNORECASE,
)
_CHANGING = frozenset({"INSERT", "UPDATE", "DELETE", "TRUNCATE", "CREATE", "DROP", "ALTER", "MERGE"})
_OF_A_TRANSACTION = {"BEGIN": "BEGIN", "START": "BEGIN", "COMMIT": "COMMIT", "END": "COMMIT", "ROLLBACK": "ROLLBACK", "ABORT": "ROLLBACK"}


OWN = "emulator"
"""The database with the properties that the API has stored, and the results of queries. It is no project."""


class Kind(Enum):
    """How a statement changes a table, view or dataset."""

    INSERTED = auto()
    """It gets more rows."""
    MUTATED = auto()
    """Existing rows are changed or deleted."""
    MADE = auto()
    """It may be new or replaced."""
    KEPT = auto()
    """It may be new; if it exists, nothing happens (IF NOT EXISTS)."""
    ALTERED = auto()
    GONE = auto()
    UNKNOWN = auto()
    """Anything may have changed, in any project."""


ROWS = frozenset({Kind.INSERTED, Kind.MUTATED})
"""Kinds that change rows and not columns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change by a statement, effective once it has committed."""

    kind: Kind
    project: str = ""
    dataset: str = ""
    table: str | None = None
    """None: the dataset."""
    renamed: str | None = None
    """The table's new name."""


def of_a_transaction(sql: str) -> str | None:
    """BEGIN, COMMIT or ROLLBACK; None for any other statement."""
    word = _WORD.match(sql)
    return _OF_A_TRANSACTION.get(word[1].upper()) if word else None


def change_of(sql: str) -> Change | None:
    """The change by one statement; None if it changes nothing of a project."""
    word = _WORD.match(sql)
    if word is None or word[1].upper() not in _CHANGING:
        return None
    found = _TARGET.match(sql)
    if found is None:
        return None if _OF_NO_PROJECT.match(sql) else Change(kind=Kind.UNKNOWN)
    parts = [_bare(part) for part in _PART.findall(found["name"])]
    whole = 2 if "SCHEMA" in ((found["what"] or "").upper(), (found["dataset"] or "").upper()) else 3
    if len(parts) != whole:
        # The emulator uses full names for tables of projects. A script's variables and a session's tables have a bare name.
        is_own = found["rows"] or parts[0].casefold() == "temp"
        return None if is_own else Change(kind=Kind.UNKNOWN)
    project, dataset, *table = parts
    if project == OWN:
        return None
    renamed = _RENAMED.match(sql, found.end()) if found["altered"] else None
    return Change(
        kind=_kind(found),
        project=project,
        dataset=dataset,
        table=table[0] if table else None,
        renamed=_bare(renamed["name"]) if renamed else None,
    )


def _kind(found: re.Match[str]) -> Kind:
    if found["rows"]:
        return Kind.INSERTED if found["inserted"] else Kind.MUTATED
    if found["made"]:
        return Kind.KEPT if found["kept"] else Kind.MADE
    return Kind.ALTERED if found["altered"] else Kind.GONE


def _bare(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part
