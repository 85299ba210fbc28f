"""A template's parameters, and what a caller's JSON makes of them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from services.platform.errors import InvalidArgument

type Value = date | str | int | bool | None

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_PROJECT = r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
TABLE = re.compile(rf"(?:(?P<project>{_PROJECT})\.)?(?P<dataset>\w{{1,1024}})\.(?P<table>[\w-]{{1,1024}})", re.ASCII)
"""`dataset.table` or `project.dataset.table` (BigQuery, "Name tables"; ASCII only)."""
STRING_LENGTH = 1024
INTEGERS = range(-(2**53), 2**53 + 1)
"""JSON numbers are doubles; beyond these they are not exact."""
YEARS = range(2000, 2100)
"""A date before or after is a slip of the pen, and date arithmetic cannot overflow."""


DATE_WORDS = {"today": timedelta(0), "yesterday": timedelta(days=-1)}
"""What a date may also be called, seen from the day of the call (UTC), or of the slot (in the schedule's zone) for a scheduled run."""


class ParameterType(StrEnum):
    """What a parameter takes."""

    DATE = "date"
    """YYYY-MM-DD, or a word of DATE_WORDS; a run's record shows the day that the word stood for."""
    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TABLE = "table"


SQL_TYPES = {ParameterType.DATE: "DATE", ParameterType.STRING: "STRING", ParameterType.INTEGER: "INT64", ParameterType.BOOLEAN: "BOOL"}
"""How a parameter reaches SQL. A table does not: no identifier is a query parameter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParameterSpec:
    """One key of a run's body."""

    name: str
    type: ParameterType
    required: bool
    default: Value
    """Taken where the caller gives none, or null."""
    scheduled: str | None = None
    """Taken for a scheduled run whose schedule gives none: there is nobody to ask. A JSON value as a caller would write it."""
    description: str


def resolve(
    specs: Iterable[ParameterSpec], given: Mapping[str, object], *, today: date, scheduled: bool = False, path: str = "parameters."
) -> dict[str, Value]:
    """All declared parameters with their values, defaults filled in, `yesterday` and the like as the dates they are on `today`.

    `scheduled`: nobody calls, a schedule does.

    `given` holds JSON values as protobuf's Struct has them: every number is a float. Raises InvalidArgument, naming `{path}{name}`, for an
    undeclared key, a missing required one, and a value that does not fit.
    """
    declared = {spec.name: spec for spec in specs}
    for name in given:
        if name not in declared:
            raise InvalidArgument(f"{path}{name}"[:200], f"this pipeline has no such parameter; it takes {', '.join(declared) or 'none'}.")
    values: dict[str, Value] = {}
    for spec in declared.values():
        value = given.get(spec.name)
        if value is None and scheduled:
            value = spec.scheduled
        if value is None and spec.required:
            raise InvalidArgument(f"{path}{spec.name}", f"is required. {spec.description}".strip())
        try:
            values[spec.name] = spec.default if value is None else parse(spec.type, value, today=today)
        except ValueError as error:
            raise InvalidArgument(f"{path}{spec.name}", str(error)) from error
    return values


def parse(kind: ParameterType, value: object, *, today: date | None = None) -> Value:
    """One JSON value as its type; without `today` a date must be one. Raises ValueError, saying what it takes."""
    if kind is ParameterType.DATE:
        if today is not None and isinstance(value, str) and value in DATE_WORDS:
            return today + DATE_WORDS[value]
        return _date(value, words=today is not None)
    if kind is ParameterType.INTEGER:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or int(value) not in INTEGERS:
            raise ValueError("use a whole number.")
        return int(value)
    if kind is ParameterType.BOOLEAN:
        if not isinstance(value, bool):
            raise ValueError("use true or false.")
        return value
    if not isinstance(value, str) or not value or len(value) > STRING_LENGTH or not value.isprintable():
        raise ValueError(f"use a string of 1 to {STRING_LENGTH} printable characters.")
    if kind is ParameterType.TABLE and not TABLE.fullmatch(value):
        raise ValueError("use `dataset.table` or `project.dataset.table`.")
    return value


def to_json(values: Mapping[str, Value]) -> dict[str, str | int | bool]:
    """The values as x_meta_pipeline_runs.parameters holds them; what has no value is left out."""
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items() if value is not None}


def _date(value: object, *, words: bool) -> date:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and _DATE.fullmatch(value) else None
    except ValueError:
        day = None
    if day is None or day.year not in YEARS:
        also = f", or {' or '.join(DATE_WORDS)}" if words else ""
        raise ValueError(f"use a date that exists, YYYY-MM-DD, of the years {YEARS.start} to {YEARS.stop - 1}{also}.")
    return day
