"""Rules for all staged rows together: how many, how recent, what sum."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar

from services.executor.checks.columns import Column
from services.executor.checks.measure import ALL_ROWS, TABLE_ROWS, Measure
from services.executor.checks.own_rows import OwnRows
from services.executor.checks.row_kinds import between

RELATIVE = 1e-9
"""Relative to the sum of absolute values: adding FLOAT64 in another order changes the last digits."""
FIRST_DAY, LAST_DAY, RUN_DAYS, NOW = "first_day", "last_day", "run_days", "loaded_at"
"""Query parameters given by every run: first and last day, both included, and all days (if it runs for days), and the time of loading."""


class Before(StrEnum):
    """The reference time of a freshness check."""

    NOW = "now"
    LAST_DAY = "last_day"
    """The end, in UTC, of the run's last day, or now if that is earlier."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowCount:
    """The number of staged rows is within bounds, or equals a value. failing_rows counts the missing or surplus rows."""

    columns: ClassVar[tuple[Column, ...]] = ()
    least: int | None
    most: int | None
    source: str | None
    """The output of an earlier step that the count must equal, if any."""

    @property
    def expect(self) -> str:
        """For example `at least 1 row`; `as many rows as were read from the source` with `source`."""
        if self.source:
            return "as many rows as were read from the source"
        return f"{between(self.least, self.most)} {'row' if (self.least, self.most) == (1, None) else 'rows'}"

    def measure(self, tag: str, shown: Sequence[Column]) -> Measure:
        """failing_rows: how many rows are missing or too many."""
        off = [f"IFNULL(ABS({TABLE_ROWS} - @{self.source}), {ALL_ROWS})"] if self.source else []
        off += [] if self.least is None else [f"GREATEST(@_{tag}_min - {TABLE_ROWS}, 0)"]
        off += [] if self.most is None else [f"GREATEST({TABLE_ROWS} - @_{tag}_max, 0)"]
        bounds = {f"_{tag}_min": self.least, f"_{tag}_max": self.most}
        return Measure(
            failing_rows=" + ".join(off),
            observed_value=f"CAST({TABLE_ROWS} AS STRING)",
            values={name: ("INT64", bound) for name, bound in bounds.items() if bound is not None},
            given={self.source: "INT64"} if self.source else {},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Volume:
    """Rows per day are as usual: they differ by at most `within` from the mean of those of the previous `days` days that have published
    rows.
    """

    columns: ClassVar[tuple[Column, ...]] = ()
    table: str
    """The published table."""
    partition: str
    """Its DATE column that it is partitioned by."""
    days: int
    within: float
    """Allowed deviation, as a fraction of the mean."""
    only: OwnRows | None
    """The rows of the published table that count; None: all."""

    @property
    def expect(self) -> str:
        """For example `within 50% of the mean of the 7 days before`."""
        return f"within {self.within:.0%} of the mean of the {self.days} days before"

    def measure(self, tag: str, shown: Sequence[Column]) -> Measure:
        """Reads the published table's partitions of those days only."""
        day, past = f"p.`{self.partition}`", f"{tag}_past"
        mean = f"SAFE_DIVIDE({past}.row_count, {past}.day_count)"
        rows = f"{TABLE_ROWS} / ARRAY_LENGTH(@{RUN_DAYS})"
        own = f" AND {self.only.condition(f'_{tag}_only', 'p')}" if self.only else ""
        rate, usual = f"CAST(ROUND({rows}, 1) AS STRING), ' rows a day, '", f"CAST(ROUND({mean}, 1) AS STRING), ' before'"
        return Measure(
            beside={
                past: f"(SELECT COUNT(*) AS row_count, COUNT(DISTINCT {day}) AS day_count FROM {self.table} AS p"
                f" WHERE {day} >= DATE_SUB(@{FIRST_DAY}, INTERVAL @_{tag}_days DAY) AND {day} < @{FIRST_DAY}{own})"
            },
            failing_rows=f"IF({past}.day_count > 0 AND ABS({rows} - {mean}) > @_{tag}_within * {mean}, {ALL_ROWS}, 0)",
            observed_value=f"IF({past}.day_count > 0, CONCAT({rate}, {usual}), CONCAT({rate}, 'nothing before'))",
            values={
                f"_{tag}_days": ("INT64", self.days),
                f"_{tag}_within": ("FLOAT64", self.within),
                **({f"_{tag}_only": ("STRING", self.only.value)} if self.only else {}),
            },
            given={FIRST_DAY: "DATE", RUN_DAYS: "ARRAY<DATE>"},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Freshness:
    """The latest time among the rows is recent. Future times are ignored: one wrong clock would hide that everything else is old."""

    columns: ClassVar[tuple[Column, ...]] = ()
    column: Column
    within: timedelta
    before: Before

    @property
    def expect(self) -> str:
        """For example `usage_end_time at most 36 h before now`."""
        hours = self.within / timedelta(hours=1)
        return f"{self.column.path} at most {hours:g} h before {'now' if self.before is Before.NOW else 'the end of the last day'}"

    def measure(self, tag: str, shown: Sequence[Column]) -> Measure:
        """failing_rows: all rows if the latest time is too old."""
        end, given = f"@{NOW}", {NOW: "TIMESTAMP"}
        if self.before is Before.LAST_DAY:
            end, given = f"LEAST({end}, TIMESTAMP(DATE_ADD(@{LAST_DAY}, INTERVAL 1 DAY)))", {**given, LAST_DAY: "DATE"}
        latest = f"m.{tag}_latest"
        return Measure(
            each={tag: f"IF({self.column.sql} <= {end}, {self.column.sql}, NULL)"},
            total={f"{tag}_latest": f"MAX(r.{tag})"},
            failing_rows=f"IF({latest} >= TIMESTAMP_SUB({end}, INTERVAL @_{tag}_within SECOND), 0, {ALL_ROWS})",
            observed_value=f"FORMAT_TIMESTAMP('%Y-%m-%dT%H:%M:%SZ', {latest})",
            values={f"_{tag}_within": ("INT64", int(self.within.total_seconds()))},
            given=given,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SumAgrees:
    """The sum of a column equals the sum read at the source. NaN equals nothing."""

    columns: ClassVar[tuple[Column, ...]] = ()
    column: Column
    source: str
    """The output of an earlier step to compare with, of the column's type."""
    within: float | None
    """Allowed difference; None: 0 for INT64, RELATIVE for FLOAT64."""

    @property
    def expect(self) -> str:
        """For example `the sum of cost that was read from the source`."""
        return f"the sum of {self.column.path} that was read from the source"

    def measure(self, tag: str, shown: Sequence[Column]) -> Measure:
        """failing_rows: all rows if the sums differ."""
        total = {f"{tag}_sum": f"IFNULL(SUM(r.{tag}), 0)"}
        values: dict[str, tuple[str, object]] = {}
        if self.within is not None:
            most, values = f"@_{tag}_within", {f"_{tag}_within": ("FLOAT64", self.within)}
        elif self.column.kind == "INT64":
            most = "0"
        else:
            most = f"{RELATIVE} * GREATEST(1.0, m.{tag}_size)"
            total[f"{tag}_size"] = f"IFNULL(SUM(ABS(r.{tag})), 0)"
        agrees = f"ABS(m.{tag}_sum - @{self.source}) <= {most}"
        if self.column.kind == "FLOAT64":
            agrees = f"{agrees} AND NOT IS_NAN(m.{tag}_sum)"
        return Measure(
            each={tag: self.column.sql},
            total=total,
            failing_rows=f"IF({agrees}, 0, {ALL_ROWS})",
            observed_value=f"CAST(m.{tag}_sum AS STRING)",
            values=values,
            given={self.source: self.column.kind},
        )
