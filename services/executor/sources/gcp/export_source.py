"""Finds what a run of a billing pipeline reads: the table that its parameter names, or the exports of the tenant's project."""

from collections.abc import Callable
from dataclasses import dataclass

from services.executor.errors import StepFailed
from services.executor.records import Period
from services.executor.sources.gcp.bigquery import TenantCloud
from services.executor.sources.gcp.export_days import choose
from services.executor.sources.gcp.exports import TableName, choose_exports, named_table, nothing_found

MOST_VIEWS = 20
"""Views whose columns are looked at, to name one that a tenant may have meant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Days that are read from one table."""

    table: TableName
    period: Period


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What to read."""

    parts: tuple[Part, ...]
    """Each day of the run is in one of them; in order of days."""
    reason: str
    """Why these tables, in words for the tenant."""
    compared_bytes: int = 0
    """Read to choose them, as BigQuery estimates it."""

    @property
    def tables(self) -> list[TableName]:
        """Each once, in the order in which they are first read."""
        return list(dict.fromkeys(part.table for part in self.parts))


def find_source(cloud: TenantCloud, named: str | None, period: Period, checkpoint: Callable[[], None]) -> Source:
    """Blocks. `named`: the parameter export_table. Raises StepFailed, saying what to do; what `checkpoint` raises."""
    if named:
        return Source(parts=(Part(table=named_table(named, cloud.project), period=period),), reason="It is named by export_table.")
    listing = cloud.list_tables(checkpoint)
    exports = choose_exports(listing.tables)
    if exports is None:
        billing = [one for one in listing.tables if one.kind is not None]
        views = [one for one in listing.tables if one.kind is None and not one.is_table][:MOST_VIEWS]
        beside = [*billing, *(view for view in views if cloud.looks_like_usage(view.name, checkpoint))]
        raise nothing_found(cloud.project, beside, listing.hidden)
    if exports.standard:
        return _of_both(cloud, exports.standard, exports.table, period, checkpoint)
    return Source(parts=(Part(table=exports.table, period=period),), reason=f"It is the only usage cost export of project {cloud.project}.")


def _of_both(cloud: TenantCloud, standard: TableName, detailed: TableName, period: Period, checkpoint: Callable[[], None]) -> Source:
    has = cloud.days_of(detailed, period, checkpoint)
    try:
        beside = cloud.days_of(standard, period, checkpoint)
    except StepFailed as error:
        if error.can_heal:
            raise
        reason = f"The standard export cannot be read beside it: {error.message}"
        return Source(parts=(Part(table=detailed, period=period),), reason=reason, compared_bytes=has.size)
    choice = choose(standard=beside.days, detailed=has.days, period=period)
    parts = tuple(Part(table=detailed if one.detailed else standard, period=one.period) for one in choice.stretches)
    return Source(parts=parts, reason=choice.reason, compared_bytes=has.size + beside.size)
