"""A template's parameters, and how a caller's JSON values are parsed."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum

from services.platform.errors import InvalidArgument
from services.platform.identifiers import EMAIL, EXPORT, TABLE

type Value = date | str | int | bool | None

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
STRING_LENGTH = 1024
INTEGERS = range(-(2**53), 2**53 + 1)
"""JSON numbers are doubles: integers outside this range are not exact."""
YEARS = range(2000, 2100)
"""Dates outside are rejected as typos; date arithmetic cannot overflow."""


DATE_WORDS = {"today": timedelta(0), "yesterday": timedelta(days=-1)}
"""Names for dates, relative to today in `ParameterSpec.zone`. `period` allows fewer of them for the days of a run."""
MONTH_WORDS = {"this_month": 0, "last_month": -1}
"""Names for months."""


class ParameterType(StrEnum):
    """The type of a parameter."""

    DATE = "date"
    """YYYY-MM-DD, or a word of DATE_WORDS; a run's record holds the date that the word stood for."""
    MONTH = "month"
    """YYYY-MM, or a word of MONTH_WORDS, recorded likewise."""
    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    """One of the texts listed by the template."""
    TABLE = "table"
    EXPORT = "export"
    """The location of exported files: `s3://bucket/prefix/name` or `account/container/directory/name`."""
    EMAIL = "email"


SQL_TYPES = {
    ParameterType.DATE: "DATE",
    ParameterType.MONTH: "STRING",
    ParameterType.STRING: "STRING",
    ParameterType.INTEGER: "INT64",
    ParameterType.BOOLEAN: "BOOL",
    ParameterType.CHOICE: "STRING",
    ParameterType.EMAIL: "STRING",
}
"""GoogleSQL types of parameters. TABLE has none, because an identifier cannot be a query parameter; EXPORT has none, because SQL reads no
files.
"""


_FORMATS = {
    ParameterType.TABLE: (TABLE, "`dataset.table` or `project.dataset.table`"),
    ParameterType.EXPORT: (EXPORT, "`s3://bucket/prefix/name`, or `account/container/directory/name` in Azure"),
    ParameterType.EMAIL: (EMAIL, "one address of mail, name@example.com"),
}
"""The patterns of texts that must have a form, with descriptions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParameterSpec:
    """One parameter of a template."""

    name: str
    type: ParameterType
    required: bool = False
    default: str | int | bool | None = None
    """The value if the caller gives none, or null. A JSON value as a caller would write it, e.g. `yesterday`."""
    scheduled: str | None = None
    """The value for a scheduled run whose schedule gives none; takes precedence over `default`. A JSON value, too."""
    zone: tzinfo = UTC
    """The zone in which `today` is determined for calls. For a scheduled run it is the UTC day of the fire time."""
    choices: tuple[str, ...] = ()
    """For CHOICE."""
    range: tuple[int, int] | None = None
    """For INTEGER: the least and the greatest value; None: any."""
    description: str

    def parse(self, value: object, *, today: date | None = None) -> Value:
        """Parses one JSON value. Without `today`, words such as `yesterday` are refused. Raises ValueError, saying what is accepted."""
        if self.type is ParameterType.CHOICE:
            if not isinstance(value, str) or value not in self.choices:
                raise ValueError(f"use one of {', '.join(self.choices)}.")
            return value
        parsed = parse(self.type, value, today=today)
        if self.range and isinstance(parsed, int) and not self.range[0] <= parsed <= self.range[1]:
            raise ValueError(f"use a whole number from {self.range[0]} to {self.range[1]}.")
        return parsed


def resolve(  # noqa: PLR0913 - what a value depends on, each given apart so that the time is passed in
    specs: Iterable[ParameterSpec],
    given: Mapping[str, object],
    *,
    now: datetime,
    fire_day: date | None = None,
    scheduled: bool = False,
    unfilled: Collection[str] = (),
    path: str = "parameters.",
) -> dict[str, Value]:
    """All declared parameters with their values; defaults are filled in, and words such as `yesterday` become dates.

    `now` is the time of the call; `fire_day` the UTC day of a scheduled run's fire time. `scheduled`: a schedule starts the run. Parameters
    in `unfilled` get no default.

    `given` holds JSON values as in a protobuf Struct: every number is a float. Raises InvalidArgument, naming `{path}{name}`, for an
    undeclared key, a missing required parameter, and a value that does not fit.
    """
    declared = {spec.name: spec for spec in specs}
    for name in given:
        if name not in declared:
            raise InvalidArgument(f"{path}{name}"[:200], f"this pipeline has no such parameter; it takes {', '.join(declared) or 'none'}.")
    values: dict[str, Value] = {}
    for spec in declared.values():
        value = given.get(spec.name)
        if value is None and spec.name not in unfilled:
            value = spec.scheduled if scheduled and spec.scheduled is not None else spec.default
            if value is None and spec.required:
                raise InvalidArgument(f"{path}{spec.name}", f"is required. {spec.description}".strip())
        try:
            today = fire_day or now.astimezone(spec.zone).date()
            values[spec.name] = None if value is None else spec.parse(value, today=today)
        except ValueError as error:
            raise InvalidArgument(f"{path}{spec.name}", str(error)) from error
    return values


def parse(kind: ParameterType, value: object, *, today: date | None = None) -> Value:
    """Parses one JSON value of type `kind`. Without `today`, only a date is a date. Raises ValueError, saying what is accepted."""
    if kind is ParameterType.DATE:
        return _date(value, today)
    if kind is ParameterType.MONTH:
        return _month(value, today)
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
    if kind in _FORMATS:
        pattern, accepted = _FORMATS[kind]
        if not pattern.fullmatch(value):
            raise ValueError(f"use {accepted}.")
    return value


def to_json(values: Mapping[str, Value]) -> dict[str, str | int | bool]:
    """The values as stored in x_meta_pipeline_runs.parameters; parameters without a value are left out."""
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items() if value is not None}


def _date(value: object, today: date | None) -> date:
    if today is not None and isinstance(value, str) and value in DATE_WORDS:
        return today + DATE_WORDS[value]
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and _DATE.fullmatch(value) else None
    except ValueError:
        day = None
    if day is None or day.year not in YEARS:
        also = f", or {' or '.join(DATE_WORDS)}" if today else ""
        raise ValueError(f"use a date that exists, YYYY-MM-DD, of the years {YEARS.start} to {YEARS.stop - 1}{also}.")
    return day


def _month(value: object, today: date | None) -> str:
    if today is not None and isinstance(value, str) and value in MONTH_WORDS:
        year, month = divmod(today.year * 12 + today.month - 1 + MONTH_WORDS[value], 12)
        return f"{year:04}-{month + 1:02}"
    if not isinstance(value, str) or not _MONTH.fullmatch(value) or int(value[:4]) not in YEARS:
        also = f", or {' or '.join(MONTH_WORDS)}" if today else ""
        raise ValueError(f"use a month, YYYY-MM, of the years {YEARS.start} to {YEARS.stop - 1}{also}.")
    return value
