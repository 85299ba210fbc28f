"""What a tenant's dataset says is published of all clouds, read with plain SQL and without our own code; and whether its parts agree."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from google.cloud.exceptions import NotFound

from tests.support.executor.tenant import Tenant
from tests.support.exports.focus_rows import Group

TINY = Decimal("1e-8")
"""More than what nine decimals take from the costs of some rows, and less than anybody sees."""
CENT = Decimal("0.005")
_FOCUS = """
SELECT
  IFNULL(x_Provider, 'GCP') AS provider, x_SourceId AS source_id, x_BillingPeriod AS period, x_ManifestId AS manifest_id,
  x_UsageDate AS day, ServiceName AS service, SubAccountId AS account, BillingCurrency AS currency,
  COUNT(*) AS n, SUM(BilledCost) AS billed, SUM(EffectiveCost) AS effective,
  COUNTIF(DATE(BillingPeriodStart) != x_BillingPeriod OR DATE(ChargePeriodStart) != x_UsageDate) AS misplaced
FROM focus_cost_daily
GROUP BY provider, source_id, period, manifest_id, day, service, account, currency"""
_CHANGES = """
SELECT source, usage_date AS day, service, currency, SUM(delta) AS delta, COUNT(*) AS n
FROM x_meta_cost_changes
GROUP BY source, day, service, currency"""
_BILLING = """
SELECT usage_date AS day, currency, COUNT(*) AS n, SUM(CAST(net_cost AS NUMERIC)) AS net
FROM billing_cost_daily
GROUP BY day, currency"""

type Sums = tuple[int, Decimal, Decimal]
"""Rows, BilledCost, EffectiveCost."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """Everything at one moment."""

    focus: Sequence[Mapping[str, Any]]
    days: Sequence[Mapping[str, Any]]
    changes: Sequence[Mapping[str, Any]]
    exports: Sequence[Mapping[str, Any]]
    billing: Sequence[Mapping[str, Any]]

    def sums(self, location: str, month: date | None = None) -> dict[Group, Sums]:
        """What is published of an export, of one billing period or of all, by service, account and currency."""
        found = defaultdict[Group, list[Any]](lambda: [0, Decimal(), Decimal()])
        for row in self.of(location):
            if month in {None, row["period"]}:
                group = found[row["service"], row["account"], row["currency"]]
                for index, name in enumerate(("n", "billed", "effective")):
                    group[index] += row[name]
        return {group: (count, billed, effective) for group, (count, billed, effective) in found.items()}

    def of(self, location: str) -> list[Mapping[str, Any]]:
        """The groups of an export's rows, `location` being what the parameter `export` has."""
        ending = location.removeprefix("s3://")
        return [row for row in self.focus if row["source_id"] and str(row["source_id"]).endswith(f"/{ending}")]

    def rows(self, location: str) -> int:
        """How many rows are published of an export."""
        return sum(row["n"] for row in self.of(location))

    def versions(self, location: str) -> dict[date, str]:
        """The version of each period."""
        found = defaultdict[date, set[str]](set)
        for row in self.of(location):
            found[row["period"]].add(row["manifest_id"])
        assert all(len(ids) == 1 for ids in found.values()), f"rows of two versions of a period: {dict(found)}"
        return {period: ids.pop() for period, ids in found.items()}

    def providers(self) -> dict[str, int]:
        """Rows of each provider."""
        found = defaultdict[str, int](int)
        for row in self.focus:
            found[row["provider"]] += row["n"]
        return dict(found)


async def read_published(tenant: Tenant, *, with_gcp: bool = True) -> Published:
    """Tables that are not there yet count as empty. `with_gcp`: billing_cost_daily, too."""
    return Published(
        focus=await _rows(tenant, _FOCUS),
        days=await _rows(tenant, "SELECT * FROM x_meta_cost_days"),
        changes=await _rows(tenant, _CHANGES),
        exports=await _rows(tenant, "SELECT * FROM x_meta_exports"),
        billing=await _rows(tenant, _BILLING) if with_gcp else [],
    )


async def _rows(tenant: Tenant, sql: str) -> list[dict[str, Any]]:
    try:
        return await tenant.rows(sql)
    except NotFound:
        return []


def assert_agrees(found: Mapping[Group, Sums], wanted: Mapping[Group, Sums]) -> None:
    """Every group, its rows, and its costs to the cent."""
    assert {group: one[0] for group, one in found.items()} == {group: one[0] for group, one in wanted.items()}
    for group, (count, billed, effective) in wanted.items():
        most = min(CENT, TINY * count)
        assert abs(found[group][1] - billed) <= most, (group, "BilledCost", found[group][1], billed)
        assert abs(found[group][2] - effective) <= most, (group, "EffectiveCost", found[group][2], effective)


def assert_whole(published: Published) -> None:
    """The ledger of days, the changes and the periods say what the table holds; every row belongs to one export or to GCP."""
    _assert_sources(published.focus)
    _assert_days(published)
    _assert_changes(published)
    _assert_exports(published)


def _assert_sources(focus: Iterable[Mapping[str, Any]]) -> None:
    for row in focus:
        assert row["provider"] in {"GCP", "AWS", "AZURE"}, row
        if row["provider"] != "GCP":
            assert str(row["source_id"]).startswith(f"{row['provider']}/"), row
            assert row["period"], row
            assert row["manifest_id"], row
            assert not row["misplaced"], row


def _by_day(published: Published) -> dict[tuple[str, date, str], tuple[int, Decimal]]:
    """Rows and net cost of each source, day and currency, from the tables themselves."""
    found = defaultdict[tuple[str, date, str], list[Any]](lambda: [0, Decimal()])
    for row in published.focus:
        if row["provider"] != "GCP":
            group = found[row["provider"].lower(), row["day"], row["currency"]]
            group[0] += row["n"]
            group[1] += row["billed"]
    for row in published.billing:
        found["gcp", row["day"], row["currency"]] = [row["n"], row["net"]]
    return {key: (count, net) for key, (count, net) in found.items()}


def _assert_days(published: Published) -> None:
    keys = [(row["source"], row["usage_date"]) for row in published.days]
    assert len(keys) == len(set(keys)), "a day stands twice in the ledger"
    wanted = _by_day(published)
    counts = defaultdict[tuple[str, date], int](int)
    for (source, day, _), (count, _) in wanted.items():
        counts[source, day] += count
    assert {(row["source"], row["usage_date"]): row["row_count"] for row in published.days if row["row_count"]} == counts
    sums = {
        (row["source"], row["usage_date"], one["currency"]): one["net_cost"]
        for row in published.days
        for one in row["sums"] or ()
        if one["size"] or one["net_cost"]
    }
    for key, (_, net) in wanted.items():
        assert sums.pop(key, Decimal()) == net, key
    assert not any(sums.values()), sums


def _assert_changes(published: Published) -> None:
    """The deltas add up to what is published."""
    added = defaultdict[tuple[str, date, str], Decimal](Decimal)
    services = defaultdict[tuple[str, date, str, str], Decimal](Decimal)
    for row in published.changes:
        added[row["source"], row["day"], row["currency"]] += row["delta"]
        services[row["source"], row["day"], row["currency"], row["service"]] += row["delta"]
    wanted = {key: net for key, (_, net) in _by_day(published).items()}
    assert {key: delta for key, delta in added.items() if delta} == {key: net for key, net in wanted.items() if net}
    for row in published.focus:
        if row["provider"] != "GCP":
            services[row["provider"].lower(), row["day"], row["currency"], row["service"]] -= row["billed"]
    assert {key: rest for key, rest in services.items() if rest and key[0] != "gcp"} == {}


def _assert_exports(published: Published) -> None:
    """One row for each period, which says what is there."""
    live = [row for row in published.exports if row["version"]]
    keys = [(row["source_id"], row["billing_period"]) for row in live]
    assert len(keys) == len(set(keys)), "a period stands twice"
    held = defaultdict[tuple[str, date], list[Mapping[str, Any]]](list)
    for row in published.focus:
        if row["provider"] != "GCP":
            held[row["source_id"], row["period"]].append(row)
    assert set(held) <= set(keys), "rows of a period that is not on record"
    for row in live:
        groups = held[row["source_id"], row["billing_period"]]
        if row["dataset"] == "FOCUS":  # of others the rows that were read, of which a mapping may make more or fewer
            assert row["row_count"] == sum(one["n"] for one in groups), row
        assert set(row["days"] or ()) == {one["day"] for one in groups}, row
        assert {one["manifest_id"] for one in groups} <= {row["manifest_id"]}, row
        assert row["provider"] == row["source_id"].split("/")[0], row
        assert isinstance(row["exported_at"], datetime), row
        billed = defaultdict[str, Decimal](Decimal)
        for one in groups:
            billed[one["currency"]] += one["billed"]
        for one in row["sums"] or ():
            assert abs(billed.pop(one["currency"]) - one["billed_cost"]) <= CENT, row
        assert not billed, row
