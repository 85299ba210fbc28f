"""What is known about a source's days, and what a run has read of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Self

from services.executor.ledger.day_state import DayState, StateOfDay, state_of

DAY_READS: Final = (
    "ARRAY<STRUCT<day DATE, since TIMESTAMP, source_table STRING, source_created_at TIMESTAMP, exported_to TIMESTAMP, is_followed BOOL>>"
)
"""GoogleSQL type of the days that a run has read; the fields of DayRead."""
WATERMARKS: Final = "ARRAY<STRUCT<source_table STRING, source_created_at TIMESTAMP, watermark TIMESTAMP>>"
"""GoogleSQL type of the watermarks that a run moves; the fields of Watermark."""
STATES: Final = "ARRAY<STRUCT<day DATE, state STRING, state_rule STRING>>"
"""GoogleSQL type of the states that days get; the fields of `states_param`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerDay:
    """A row of x_meta_cost_days."""

    usage_date: date
    row_count: int
    sizes: Mapping[str | None, Decimal]
    """By currency, the sum of absolute costs before credits."""
    changed_at: datetime | None
    version: int
    source_version: int | None
    focus_version: int | None
    state: str | None
    source_table: str | None
    source_created_at: datetime | None
    exported_to: datetime | None
    is_followed: bool

    @property
    def lags_in_focus(self) -> bool:
        """True if focus_cost_daily is older than the source's own table."""
        return (self.focus_version or 0) < (self.source_version or 0)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row."""
        values = {name: row[name] for name in cls.__dataclass_fields__ if name != "sizes"}
        for name in ("row_count", "version"):
            values[name] = row[name] or 0
        values["is_followed"] = bool(row["is_followed"])
        values["sizes"] = {one["currency"]: one["size"] or Decimal() for one in row["sums"] or ()}
        return cls(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Watermark:
    """A row of x_meta_cost_sources."""

    source_table: str
    source_created_at: datetime | None
    watermark: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """What is known about one source of a tenant."""

    days: Mapping[date, LedgerDay]
    watermarks: Mapping[str, Watermark]
    """By source_table."""

    @property
    def followed(self) -> dict[date, LedgerDay]:
        """The days that are kept up to date by runs that read what has changed."""
        return {day: one for day, one in self.days.items() if one.is_followed}

    def states_at(self, now: datetime) -> dict[date, StateOfDay]:
        """The state of every day, if nothing changes now."""
        changed = dict[tuple[int, int], datetime]()
        for day, one in self.days.items():
            if one.changed_at:
                month = (day.year, day.month)
                changed[month] = max(changed.get(month, one.changed_at), one.changed_at)
        return {day: state_of(day, month_changed_at=changed.get((day.year, day.month)), now=now) for day in self.days}

    def overdue_states(self, now: datetime) -> dict[date, StateOfDay]:
        """The days whose stored state is outdated because time has passed. A day that was FINAL stays FINAL until it changes."""
        due = self.states_at(now)
        return {day: due[day] for day, one in self.days.items() if one.state not in {due[day].state, DayState.FINAL}}


@dataclass(frozen=True, kw_only=True, slots=True)
class DayRead:
    """What a run has read of a day."""

    day: date
    since: datetime | None
    """Only rows exported after this; the rows up to it are published. None: the whole day."""
    source_table: str | None
    """The table that was read, whether it has rows of the day or not."""
    source_created_at: datetime | None
    exported_to: datetime | None
    """The greatest export time among the day's rows; None: it has none, or they do not say."""
    is_followed: bool
    """The run reads what has changed, and so keeps the day up to date."""


def states_param(states: Mapping[date, StateOfDay]) -> list[dict[str, object]]:
    """A query parameter of type STATES."""
    return [{"day": day, "state": one.state.value, "state_rule": one.rule} for day, one in sorted(states.items())]
