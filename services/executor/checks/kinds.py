"""Turns a check in a template into its rule."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.executor.checks.columns import NUMBERS, Column, find_column
from services.executor.checks.load_kinds import Before, Freshness, RowCount, SumAgrees, Volume
from services.executor.checks.measure import Rule
from services.executor.checks.own_rows import read_own_rows
from services.executor.checks.row_kinds import AcceptedValues, Finite, NotNull, Range, Unique
from services.executor.staging.shape import StagingShape
from services.executor.templates.period import DAY
from services.executor.templates.section import Section
from services.platform.bigquery.sql import Block

COMPARABLE = ("BOOL", "DATE", "INT64", "STRING", "TIMESTAMP")
"""Types that BigQuery partitions by."""
_PERCENT = re.compile(r"([1-9]\d{0,2})%", re.ASCII)
_TIME = re.compile(r"([1-9]\d{0,4})([mhd])", re.ASCII)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_PARTITION = re.compile(r"^PARTITION BY (\w+)", re.MULTILINE)
_INT64 = range(-(2**63), 2**63)
_MAX = 2**53
"""Numbers further from 0 are not exact as FLOAT64; NaN compares false both ways."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What the checks of a step may refer to."""

    staging: StagingShape
    table: str
    create: Block
    """Creates `table`, into which the checked rows will be published."""
    covers_days: bool
    """True if the template runs for days, see `templates/period`."""
    outputs: Mapping[str, str]
    """Outputs of earlier steps, name to GoogleSQL type."""


def read_columns(section: Section, key: str, staging: StagingShape) -> tuple[Column, ...]:
    """A list of scalar columns; empty if the key is absent. Raises TemplateError."""
    try:
        columns = tuple(find_column(staging, path) for path in section.texts(key))
    except ValueError as error:
        raise section.error(str(error), key) from error
    if len(set(columns)) < len(columns):
        raise section.error(f"{key} names a column twice", key)
    return columns


def _column(section: Section, known: Known, *kinds: str, repeated: bool = False) -> Column:
    try:
        column = find_column(known.staging, section.text("column"), repeated=repeated)
    except ValueError as error:
        raise section.error(str(error), "column") from error
    if kinds and column.kind not in kinds:
        raise section.error(f"`{column.path}` is {column.kind}, this check takes {' or '.join(kinds)}", "column")
    return column


def _number(section: Section, key: str, *, least: float = -math.inf) -> float | None:
    value = section.scalar(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not max(least, -_MAX) <= value <= _MAX:
        raise section.error(f"{key} must be a number{'' if least == -math.inf else f' of at least {least:g}'}", key)
    return value


def _bounds(section: Section) -> tuple[float | None, float | None]:
    least, most = _number(section, "min"), _number(section, "max")
    if least is not None and most is not None and least > most:
        raise section.error("min is more than max", "min")
    return least, most


def _source(section: Section, known: Known, kind: str) -> str:
    source = section.text("source")
    if known.outputs.get(source) != kind:
        fitting = sorted(name for name, found in known.outputs.items() if found == kind)
        problem = f"no earlier step finds out `{source}` as {kind}; there is {', '.join(fitting) or 'none'}"
        raise section.error(problem, "source", may_follow=True)
    return source


def _not_null(section: Section, known: Known) -> Rule:
    return NotNull(column=_column(section, known))


def _columns(section: Section, known: Known, kind: str, *types: str) -> tuple[Column, ...]:
    columns = read_columns(section, "columns", known.staging)
    if not columns:
        raise section.error(f"{kind} needs at least one column in `columns`", "columns")
    for column in columns:
        if column.kind not in types:
            raise section.error(f"`{column.path}` is {column.kind}, this check takes {' or '.join(types)}", "columns")
    return columns


def _unique(section: Section, known: Known) -> Rule:
    return Unique(columns=_columns(section, known, "unique", *COMPARABLE))


def _finite(section: Section, known: Known) -> Rule:
    return Finite(columns=_columns(section, known, "finite", "FLOAT64"))


def _accepted_values(section: Section, known: Known) -> Rule:
    column, values = _column(section, known, "INT64", "STRING"), section.texts("values")
    if not values:
        raise section.error("accepted_values needs at least one value in `values`", "values")
    if column.kind == "STRING":
        return AcceptedValues(column=column, values=values)
    try:
        numbers = tuple(int(value) for value in values)
    except ValueError as error:
        raise section.error("values must be whole numbers, as the column is", "values") from error
    if not all(number in _INT64 for number in numbers):
        raise section.error("values must be of 64 bits, as the column is", "values")
    return AcceptedValues(column=column, values=numbers)


def _range(section: Section, known: Known) -> Rule:
    column, (least, most) = _column(section, known, *NUMBERS), _bounds(section)
    if least is None and most is None:
        raise section.error("range needs `min` or `max`")
    return Range(column=column, least=least, most=most)


def _row_count(section: Section, known: Known) -> Rule:
    least, most = _bounds(section)
    if section.text("source", ""):
        if (least, most) != (None, None):
            raise section.error("row_count takes either `source`, or `min` and `max`", "source")
        return RowCount(least=None, most=None, source=_source(section, known, "INT64"))
    if least is None and most is None:
        raise section.error("row_count needs `min`, `max` or `source`")
    whole = (section.integer(key, least=0, most=_MAX) if bound is not None else None for key, bound in (("min", least), ("max", most)))
    return RowCount(least=next(whole), most=next(whole), source=None)


def _volume(section: Section, known: Known) -> Rule:
    partition = _PARTITION.search(known.create.sql)
    if partition is None or not re.search(rf"^\s+{partition[1]} DATE\b", known.create.sql, re.MULTILINE):
        raise section.error(f"volume needs a table that is partitioned by a DATE, which {known.table} is not")
    percent = _PERCENT.fullmatch(section.text("within"))
    if percent is None:
        raise section.error("within must be a percentage from 1% to 999%", "within")
    if not known.covers_days:
        raise section.error(f"volume is about days, so the template needs the parameter {DAY}", may_follow=True)
    days = section.integer("days", 7, most=366)
    only = read_own_rows(section, known.create)
    return Volume(table=known.table, partition=partition[1], days=days, within=int(percent[1]) / 100, only=only)


def _freshness(section: Section, known: Known) -> Rule:
    time = _TIME.fullmatch(section.text("within"))
    if time is None:
        raise section.error("within must be a time like 30m, 36h or 2d", "within")
    before = Before(section.text("before", Before.NOW, among=tuple(Before)))
    if before is Before.LAST_DAY and not known.covers_days:
        raise section.error(f"a run without the parameter {DAY} has no last day", "before", may_follow=True)
    return Freshness(column=_column(section, known, "TIMESTAMP"), within=int(time[1]) * _UNITS[time[2]], before=before)


def _sum_agrees(section: Section, known: Known) -> Rule:
    column = _column(section, known, *NUMBERS, repeated=True)
    return SumAgrees(column=column, source=_source(section, known, column.kind), within=_number(section, "within", least=0))


KINDS: dict[str, Callable[[Section, Known], Rule]] = {
    "accepted_values": _accepted_values,
    "finite": _finite,
    "freshness": _freshness,
    "not_null": _not_null,
    "range": _range,
    "row_count": _row_count,
    "sum_agrees": _sum_agrees,
    "unique": _unique,
    "volume": _volume,
}
"""Kind -> the reader of that kind's keys, which raises TemplateError."""
