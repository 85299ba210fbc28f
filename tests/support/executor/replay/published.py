"""What a tenant's dataset says is published: read with plain SQL, without our own code."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from google.cloud.exceptions import NotFound

from tests.support.executor.replay.charge import KEY
from tests.support.executor.replay.model import Groups, Sums
from tests.support.executor.tenant import Tenant

_BILLING = f"""
SELECT
  usage_date, service_id, currency, COUNT(*) AS n,
  SUM(CAST(cost AS NUMERIC)) AS cost, SUM(CAST(credits_total AS NUMERIC)) AS credits, SUM(CAST(net_cost AS NUMERIC)) AS net_cost,
  STRING_AGG(JSON_VALUE(labels, '$.{KEY}'), ' ') AS row_keys, IFNULL(MAX(UNIX_SECONDS(export_time)), 0) AS exported_to
FROM billing_cost_daily
GROUP BY usage_date, service_id, currency"""
_FOCUS = """
SELECT x_UsageDate AS usage_date, BillingCurrency AS currency, SUM(CAST(BilledCost AS NUMERIC)) AS billed
FROM focus_cost_daily
GROUP BY usage_date, currency"""


@dataclass(frozen=True, kw_only=True)
class LedgerDay:
    """A row of x_meta_cost_days."""

    row_count: int
    sums: Mapping[str, Decimal]
    """Net cost by currency."""
    first_loaded_at: datetime
    last_loaded_at: datetime
    changed_at: datetime
    version: int
    focus_version: int | None
    state: str
    exported_to: datetime | None
    is_followed: bool


@dataclass(frozen=True, kw_only=True)
class Change:
    """A row of x_meta_cost_changes."""

    day: date
    service: str | None
    currency: str
    before: Decimal
    after: Decimal
    delta: Decimal
    is_first_load: bool
    after_final: bool
    changed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Published:
    """Everything at one moment."""

    billing: Mapping[date, Groups]
    focus: Mapping[date, Mapping[str, Decimal]]
    """BilledCost by currency."""
    ledger: Mapping[date, LedgerDay]
    changes: Sequence[Change]
    """All of them, in order of time."""
    sources: Sequence[Mapping[str, Any]]


async def read_published(tenant: Tenant) -> Published:
    """Tables that are not there yet count as empty. AssertionError if the ledger has two rows of a day."""
    ledger = await _rows(tenant, "SELECT * FROM x_meta_cost_days")
    assert len(ledger) == len({one["usage_date"] for one in ledger}), "a day stands twice in the ledger"
    assert {one["source"] for one in ledger} <= {"gcp"}
    changes = [_change(one) for one in await _rows(tenant, "SELECT * FROM x_meta_cost_changes")]
    return Published(
        billing=await _billing(tenant),
        focus=await _focus(tenant),
        ledger={one["usage_date"]: _ledger_day(one) for one in ledger},
        changes=sorted(changes, key=lambda one: (one.changed_at, one.day, one.service or "", one.currency)),
        sources=await _rows(tenant, "SELECT * FROM x_meta_cost_sources"),
    )


async def _billing(tenant: Tenant) -> dict[date, Groups]:
    found = defaultdict[date, Groups](dict)
    for row in await _rows(tenant, _BILLING):
        keys = Counter(row["row_keys"].split())
        sums = Sums(rows=row["n"], cost=row["cost"], credits=row["credits"], keys=keys, exported_to=row["exported_to"])
        assert sums.net == row["net_cost"], row
        found[row["usage_date"]][row["service_id"], row["currency"]] = sums
    return dict(found)


async def _focus(tenant: Tenant) -> dict[date, dict[str, Decimal]]:
    found = defaultdict[date, dict[str, Decimal]](dict)
    for row in await _rows(tenant, _FOCUS):
        found[row["usage_date"]][row["currency"]] = row["billed"]
    return dict(found)


async def _rows(tenant: Tenant, sql: str) -> list[dict[str, Any]]:
    try:
        return await tenant.rows(sql)
    except NotFound:
        return []


def _ledger_day(row: Mapping[str, Any]) -> LedgerDay:
    currencies = [one["currency"] for one in row["sums"]]
    assert len(currencies) == len(set(currencies)), row
    return LedgerDay(
        **{name: row[name] for name in LedgerDay.__dataclass_fields__ if name != "sums"},
        sums={one["currency"]: one["net_cost"] for one in row["sums"]},
    )


def _change(row: Mapping[str, Any]) -> Change:
    return Change(
        day=row["usage_date"],
        service=row["service"],
        currency=row["currency"],
        before=row["cost_before"],
        after=row["cost_after"],
        delta=row["delta"],
        is_first_load=row["is_first_load"],
        after_final=row["after_final"],
        changed_at=row["changed_at"],
    )
