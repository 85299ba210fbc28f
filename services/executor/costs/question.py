"""A question about costs, checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from services.executor.costs.dimensions import Dimension, Filter, read_filters, read_group_by
from services.executor.records import Period
from services.executor.templates.parameters import ParameterType, parse
from services.platform.errors import InvalidArgument

MOST_DAYS: Final = 1_100
"""Three years and a month."""
MOST_TOP: Final = 1_000


class Granularity(StrEnum):
    """How the range is divided."""

    WHOLE = ""
    DAY = "day"
    MONTH = "month"


class Metric(StrEnum):
    """One of FOCUS's cost columns."""

    BILLED = "billed"
    EFFECTIVE = "effective"
    CONTRACTED = "contracted"
    LIST = "list"

    @property
    def column(self) -> str:
        """The column of `focus_cost_daily`, NUMERIC."""
        return f"{self.value.capitalize()}Cost"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A checked question. Equal questions have the same answer."""

    first: date
    last: date
    group_by: tuple[Dimension, ...] = ()
    filters: tuple[Filter, ...] = ()
    granularity: Granularity = Granularity.WHOLE
    metric: Metric = Metric.BILLED
    top: int = 0
    """The number of groups for each currency; 0: all."""

    @property
    def period(self) -> Period:
        """The days."""
        return Period(first=self.first, last=self.last)


def read_question(  # noqa: PLR0913 - the fields of the request
    *, start_date: str, end_date: str, group_by: Sequence[str], filters: Sequence[str], granularity: str, metric: str, top: int
) -> Question:
    """The question of a request. Raises InvalidArgument, naming the field and what it takes."""
    period = read_period(start_date, end_date, most_days=MOST_DAYS)
    if granularity not in set(Granularity):
        raise InvalidArgument("granularity", "use day or month; empty: the whole range is one period.")
    if metric and metric not in set(Metric):
        raise InvalidArgument("metric", f"use one of {', '.join(Metric)}.")
    if not 0 <= top <= MOST_TOP:
        raise InvalidArgument("top", f"use 1 to {MOST_TOP:,}; 0 means all.")
    dimensions = read_group_by(group_by)
    if top and not dimensions:
        raise InvalidArgument("top", "counts groups, so group_by must say by what to group.")
    return Question(
        first=period.first,
        last=period.last,
        group_by=dimensions,
        filters=read_filters(filters),
        granularity=Granularity(granularity),
        metric=Metric(metric or Metric.BILLED),
        top=top,
    )


def read_period(start_date: str, end_date: str, *, most_days: int) -> Period:
    """Both dates, included. Raises InvalidArgument."""
    first, last = read_day("start_date", start_date), read_day("end_date", end_date)
    if last < first:
        raise InvalidArgument("end_date", "use start_date or a later day.")
    if last - first >= timedelta(days=most_days):
        raise InvalidArgument("end_date", f"ask for at most {most_days:,} days at once, start_date and end_date included.")
    return Period(first=first, last=last)


def read_day(field: str, text: str) -> date:
    """A date, YYYY-MM-DD. Raises InvalidArgument."""
    try:
        day = parse(ParameterType.DATE, text)
    except ValueError as error:
        raise InvalidArgument(field, str(error)) from error
    if not isinstance(day, date):
        raise TypeError("a date parameter is a date")
    return day
