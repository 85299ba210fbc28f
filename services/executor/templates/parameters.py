"""A template's parameters, and what a caller's JSON makes of them."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum

from services.platform.errors import InvalidArgument
from services.platform.identifiers import EMAIL, TABLE

type Value = date | str | int | bool | None

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
STRING_LENGTH = 1024
INTEGERS = range(-(2**53), 2**53 + 1)
"""JSON numbers are doubles; beyond these they are not exact."""
YEARS = range(2000, 2100)
"""A date before or after is a slip of the pen, and date arithmetic cannot overflow."""


DATE_WORDS = {"today": timedelta(0), "yesterday": timedelta(days=-1)}
"""What a date may also be called, seen from the day in `ParameterSpec.zone`; `period` takes less for the days of a run."""
MONTH_WORDS = {"this_month": 0, "last_month": -1}
"""What a month may also be called."""


class ParameterType(StrEnum):
    """What a parameter takes."""

    DATE = "date"
    """YYYY-MM-DD, or a word of DATE_WORDS; a run's record shows the day that the word stood for."""
    MONTH = "month"
    """YYYY-MM, or a word of MONTH_WORDS; the same holds."""
    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    """One of the texts that the template lists."""
    TABLE = "table"
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
"""How a parameter reaches SQL. A table does not: no identifier is a query parameter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParameterSpec:
    """One key of a run's body."""

    name: str
    type: ParameterType
    required: bool = False
    default: str | int | bool | None = None
    """Taken where the caller gives none, or null. A JSON value as a caller would write it, so it may be `yesterday`."""
    scheduled: str | None = None
    """Taken before `default` for a scheduled run whose schedule gives none: there is nobody to ask. A JSON value, too."""
    zone: tzinfo = UTC
    """Where it is looked what day `today` is, for calls. A scheduled run looks at its slot's day in UTC."""
    choices: tuple[str, ...] = ()
    """For CHOICE."""
    description: str

    def parse(self, value: object, *, today: date | None = None) -> Value:
        """One JSON value as this parameter takes it; without `today`, no `yesterday` fits. Raises ValueError, saying what does."""
        if self.type is ParameterType.CHOICE:
            if not isinstance(value, str) or value not in self.choices:
                raise ValueError(f"use one of {', '.join(self.choices)}.")
            return value
        return parse(self.type, value, today=today)


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
    """All declared parameters with their values, defaults filled in, `yesterday` and the like as the dates they are.

    `now` is the moment of the call; `fire_day` the UTC day of a scheduled run's slot. `scheduled`: a schedule starts the run.
    `unfilled` may be missing: for them no default is filled in.

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
    """One JSON value as its type; without `today` a date must be one. Raises ValueError, saying what it takes."""
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
    if kind is ParameterType.TABLE and not TABLE.fullmatch(value):
        raise ValueError("use `dataset.table` or `project.dataset.table`.")
    if kind is ParameterType.EMAIL and not EMAIL.fullmatch(value):
        raise ValueError("use one address of mail, name@example.com.")
    return value


def to_json(values: Mapping[str, Value]) -> dict[str, str | int | bool]:
    """The values as x_meta_pipeline_runs.parameters holds them; what has no value is left out."""
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
