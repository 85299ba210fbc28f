"""Applies a change by this process to a tenant's row. Pure, with the same result as `reserve` and `settle` in queries.sql.

A change names reservations by id, and a row says which ids it holds. So applying a change to a row that already has it changes nothing. The
exception is an id that was reserved and settled meanwhile; the caller passes no such row. The result is None if the ids do not suffice:
then only a reading can show it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from services.auth.quota import Usage
from services.auth.store import Settlement


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """A reservation that was granted."""

    tenant_id: str
    reservation_id: str
    units: int
    usage_date: date
    lease_expires_at: datetime


type Change = Grant | Settlement


def after(usage: Usage | None, changes: Iterable[Change], read_at: datetime) -> Usage | None:
    """The row after all of these changes of its tenant, in order; None if only a reading can show it. A lease counts if it had not expired
    at `read_at`.
    """
    for change in changes:
        if usage is None or change.usage_date != usage.usage_date:
            return None
        usage = _granted(usage, change, read_at) if isinstance(change, Grant) else _settled(usage, change, read_at)
    return usage


def _granted(usage: Usage, grant: Grant, read_at: datetime) -> Usage:
    live, taken = dict(usage.live_runs), dict(usage.taken)
    units = 0 if grant.reservation_id in live else grant.units
    if grant.reservation_id not in live:
        taken[grant.reservation_id] = grant.units
    live[grant.reservation_id] = grant.lease_expires_at
    return replace(
        usage,
        pipelines_run_today=usage.pipelines_run_today + units,
        pipelines_run_month=usage.pipelines_run_month + units,
        concurrent_pipelines_running=_alive(live, read_at),
        live_runs=frozenset(live.items()),
        taken=frozenset(taken.items()),
    )


def _settled(usage: Usage, one: Settlement, read_at: datetime) -> Usage | None:
    live, taken, run = dict(usage.live_runs), dict(usage.taken), one.reservation_id
    is_live = run in live
    given_back = is_live and one.outcome == "NOT_STARTED"
    # Unless the row has the id, another process, or another day, may know it.
    if one.only_if_expired or not (is_live or run in usage.uncosted_runs) or (given_back and run not in taken):
        return None
    live.pop(run, None)
    units = taken.pop(run, 0) if given_back else 0
    taken.pop(run, None)
    awaits_cost = one.cost is None and not given_back
    return replace(
        usage,
        pipelines_succeeded_today=usage.pipelines_succeeded_today + (is_live and one.outcome == "COMPLETED"),
        pipelines_failed_today=usage.pipelines_failed_today + (is_live and one.outcome == "FAILED"),
        pipelines_run_today=max(0, usage.pipelines_run_today - units),
        pipelines_run_month=max(0, usage.pipelines_run_month - units),
        concurrent_pipelines_running=_alive(live, read_at),
        cost_usd_month=usage.cost_usd_month + (one.cost.cost_usd if one.cost is not None else 0.0),
        live_runs=frozenset(live.items()),
        taken=frozenset(taken.items()),
        uncosted_runs=usage.uncosted_runs | {run} if awaits_cost else usage.uncosted_runs - {run},
    )


def _alive(live: Mapping[str, datetime | None], at: datetime) -> int:
    return sum(ends is not None and ends > at for ends in live.values())
