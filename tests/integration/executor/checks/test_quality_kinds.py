"""Every kind of check on the emulator: what passes, what fails, with how many rows, and which rows are sampled."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.executor.errors import StepError
from services.executor.templates.step import Toolbox
from services.platform import metrics
from services.platform.bigquery.sql import load_blocks
from tests.support.executor.quality import DAY, NOON, run_checks, sale, step
from tests.support.executor.tenant import Tenant

QUOTES = 'o\'neil "x" `y` \\ ü 日本 $1 @p {z}'
ALL = """
sample: [shop.owner.name]
checks:
  - {name: few, kind: row_count, min: 1, max: 4, severity: warn}
  - {name: as_read, kind: row_count, source: source_rows, severity: warn}
  - {name: has_shop, kind: not_null, column: shop.id, severity: warn}
  - {name: one_id, kind: unique, columns: [id, shop.id], severity: warn}
  - name: known_shop
    kind: accepted_values
    column: shop.id
    values: [s1, "o'neil \\"x\\" `y` \\\\ ü 日本 $1 @p {z}"]
    severity: warn
  - {name: even, kind: accepted_values, column: pieces, values: [2, 4], severity: warn}
  - {name: fair, kind: range, column: price, min: 0, max: 9.5, severity: warn}
  - {name: above, kind: range, column: price, min: 0, severity: warn}
  - {name: some, kind: range, column: pieces, min: 1, max: 9, severity: warn}
  - {name: finite, kind: finite, columns: [price], severity: warn}
  - {name: recent, kind: freshness, column: sold_at, within: 12h, before: last_day, severity: warn}
  - {name: price_sum, kind: sum_agrees, column: price, source: source_price, severity: warn}
  - {name: piece_sum, kind: sum_agrees, column: pieces, source: source_pieces, severity: warn}
  - {name: part_sum, kind: sum_agrees, column: parts.amount, source: source_parts, severity: warn}
  - {name: odd, kind: custom, sql: sale.sql#odd, expect: even, severity: warn}
"""


async def test_rows_that_keep_every_rule_pass(tenant: Tenant, tools: Toolbox, tmp_path: Path) -> None:
    """Quotes, backquotes and other scripts in a value that is accepted; NULL and shared NULLs matter to not_null only."""
    rows = [
        sale(shop={"id": QUOTES, "owner": None}, parts=[{"amount": 0.1}, {"amount": 0.2}, {"amount": None}]),
        sale(price=0.0, parts=[{"amount": -0.3}]),
        sale(price=9.5, pieces=4, parts=[{"amount": 0.7}]),
        sale(id=None, price=None, pieces=None, sold_at=None),
    ]
    checked = await run_checks(step(tmp_path, ALL), tools, tenant.tenant_id, rows)
    assert checked.failing == {}
    observed = {name: one.observed_value for name, one in checked.verdicts.items()}
    assert (observed["few"], observed["has_shop"], observed["recent"], observed["piece_sum"], observed["odd"]) == (
        "4", "0", "2025-11-17T12:00:00Z", "8", "4",
    )  # fmt: skip
    assert math.isclose(float(observed["part_sum"] or 0), 0.7)
    assert {tuple(one.sample_rows) for one in checked.verdicts.values()} == {()}
    assert checked.result.metadata == {"passed": 15, "warnings": []}


BREAKING: list[tuple[list[dict[str, Any]], dict[str, int]]] = [
    ([], {"few": 1, "recent": 1}),
    ([sale() for _ in range(6)], {"few": 2}),
    ([sale(shop=None), sale(shop={"id": None, "owner": None})], {"has_shop": 2}),
    ([sale(id="a"), sale(id="a"), sale(id="b"), sale(id=None), sale(id=None)], {"few": 1, "one_id": 2}),
    ([sale(shop={"id": "S1", "owner": None}), sale(shop={"id": "s1 ", "owner": None})], {"known_shop": 2}),
    ([sale(pieces=3), sale(pieces=0), sale(pieces=10)], {"even": 3, "some": 2, "odd": 1}),
    ([sale(price=-0.01), sale(price=9.51)], {"fair": 2, "above": 1}),
    ([sale(price=math.nan), sale()], {"fair": 1, "above": 1, "finite": 1, "price_sum": 2}),
    ([sale(price=math.inf)], {"fair": 1, "finite": 1, "price_sum": 1}),
    ([sale(price=-math.inf), sale(price=math.inf)], {"fair": 2, "above": 1, "finite": 2, "price_sum": 2}),
    ([sale(sold_at=NOON - timedelta(seconds=1)), sale(sold_at=NOON + timedelta(hours=12, seconds=1))], {"recent": 2}),
    ([sale(sold_at=None)], {"recent": 1}),
]


async def test_what_breaks_a_rule_fails_it(tenant: Tenant, tools: Toolbox, tmp_path: Path) -> None:
    """And no other. NaN is out of every range and makes no sum; a time to come does not make the rows fresh."""
    checks = step(tmp_path, ALL)
    found = [(await run_checks(checks, tools, tenant.tenant_id, rows)).failing for rows, _ in BREAKING]
    assert found == [failed for _, failed in BREAKING]


async def test_sums_that_disagree_with_the_source(tenant: Tenant, tools: Toolbox, tmp_path: Path) -> None:
    """More than rounding is reported, half a cent is allowed where the template says so, whole numbers are exact."""
    text = """
checks:
  - {name: strict, kind: sum_agrees, column: price, source: source_price, severity: warn}
  - {name: lenient, kind: sum_agrees, column: price, source: source_price, within: 0.005, severity: warn}
  - {name: whole, kind: sum_agrees, column: pieces, source: source_pieces, severity: warn}
"""
    checks, rows = step(tmp_path, text), [sale(price=1000.0, pieces=2**53), sale(price=0.5, pieces=0)]
    for off, expected in (
        (1e-12, {}),
        (0.004, {"strict": 2}),
        (-0.006, {"strict": 2, "lenient": 2}),
        (math.nan, {"strict": 2, "lenient": 2}),
    ):
        found = {"source_price": 1000.5 + off, "source_pieces": 2**53}
        assert (await run_checks(checks, tools, tenant.tenant_id, rows, found=found)).failing == expected
    checked = await run_checks(checks, tools, tenant.tenant_id, rows, found={"source_pieces": 2**53 + 1})
    assert checked.failing == {"whole": 2}
    nothing = await run_checks(checks, tools, tenant.tenant_id, [], found={"source_price": 0.001})
    assert nothing.failing == {"strict": 1}


async def test_a_failed_row_is_shown_with_declared_columns_only(tenant: Tenant, tools: Toolbox, tmp_path: Path) -> None:
    """Five rows of seven; the check's own column and the template's; long text is cut; never the labels; numbers as text, NaN too."""
    rows = [sale(price=-1.5, shop={"id": "s1", "owner": {"name": QUOTES + "x" * 300}})] * 7
    checked = await run_checks(step(tmp_path, ALL), tools, tenant.tenant_id, [*rows, sale(price=-2.5, shop=None)])
    shown = {"price": "-1.5", "shop.owner.name": (QUOTES + "x" * 300)[:200]}
    assert checked.verdicts["fair"].sample_rows == [shown] * 5
    assert checked.result.metadata["samples"]["fair"] == [shown] * 5
    assert checked.result.metadata["samples"]["has_shop"] == [{"shop.id": None, "shop.owner.name": None}]
    assert checked.verdicts["few"].sample_rows == ()
    kept = await tenant.rows("SELECT TO_JSON_STRING(d) AS text FROM x_meta_dq_results AS d")
    assert not any("hunter2" in one["text"] or "password" in one["text"] for one in kept)
    one = await tenant.rows("SELECT JSON_VALUE(sample_rows, '$[0].price') AS price FROM x_meta_dq_results WHERE check_name = 'fair'")
    assert one == [{"price": "-1.5"}]


async def test_all_checks_are_one_job(tenant: Tenant, tools: Toolbox, tmp_path: Path) -> None:
    """Fifteen checks, two custom blocks: one job, and one statement on the published table's history."""
    text = ALL + (
        "  - {name: usual, kind: volume, within: 50%, severity: warn}\n"
        "  - {name: first, sql: 'sale.sql#two', expect: x}\n  - {name: second, sql: 'sale.sql#two', expect: x, severity: warn}\n"
    )
    checks = step(tmp_path, text)
    await tools.store.ensure_table(tenant.tenant_id, checks.published)  # type: ignore[arg-type]
    before = {sample.labels["statement"]: sample.value for sample in _jobs()}
    await run_checks(checks, tools, tenant.tenant_id, [sale()])
    after = {sample.labels["statement"]: sample.value for sample in _jobs()}
    new = {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}
    assert new == {"dq_checks": 1, "load_staging": 1, "list_dq_results": 1}


def _jobs() -> list[Any]:
    return [sample for metric in metrics.BIGQUERY_JOBS.collect() for sample in metric.samples if sample.name.endswith("_total")]


async def test_volume_is_held_against_the_days_before(tenant: Tenant, tools: Toolbox, tmp_path: Path) -> None:
    """The mean of the days that have rows, within the window, the run's own day not among them; nothing to compare with is no failure."""
    checks = step(tmp_path, "checks:\n  - {name: usual, kind: volume, days: 3, within: 50%, severity: warn}\n")

    async def usual(count: int, **parameters: Any) -> tuple[int, str | None]:
        told = await run_checks(checks, tools, tenant.tenant_id, [sale() for _ in range(count)], parameters=parameters or None)
        return told.verdicts["usual"].failing_rows, told.verdicts["usual"].observed_value

    assert await usual(0) == (0, "0 rows a day, nothing before")
    days = {DAY: 100, DAY - timedelta(days=1): 3, DAY - timedelta(days=3): 5, DAY - timedelta(days=4): 100}
    for day, count in days.items():
        await tenant.rows(f"INSERT INTO billing_cost_daily (usage_date) SELECT DATE '{day}' FROM UNNEST(GENERATE_ARRAY(1, {count}))")
    assert await usual(6) == (0, "6 rows a day, 4 before")
    assert await usual(2) == (0, "2 rows a day, 4 before")
    assert await usual(7) == (7, "7 rows a day, 4 before")
    assert await usual(1) == (1, "1 rows a day, 4 before")
    assert await usual(0) == (1, "0 rows a day, 4 before")
    two_days = {"date": None, "start_date": DAY, "end_date": DAY + timedelta(days=1)}
    assert await usual(8, **two_days) == (0, "4 rows a day, 4 before")
    assert await usual(13, **two_days) == (13, "6.5 rows a day, 4 before")


async def test_volume_counts_its_own_rows_of_a_shared_table(tenant: Tenant, tools: Toolbox, tmp_path: Path) -> None:
    """Rows of another provider are not counted, rows from before there was a column to tell them apart are."""
    own = "{name: usual, kind: volume, within: 50%, severity: warn, only: {column: source_table, value: ours, or_null: true}}"
    checks = step(tmp_path, f"checks:\n  - {own}\n")
    await tools.store.ensure_table(tenant.tenant_id, checks.published)  # type: ignore[arg-type]
    await tenant.rows(
        f"INSERT INTO billing_cost_daily (usage_date, source_table) SELECT DATE '{DAY - timedelta(days=1)}', source "
        "FROM UNNEST(['ours', NULL, 'theirs', 'theirs', 'theirs', 'theirs', 'theirs', 'theirs']) AS source"
    )
    told = await run_checks(checks, tools, tenant.tenant_id, [sale(), sale()])
    assert told.verdicts["usual"].observed_value == "2 rows a day, 2 before"


async def test_freshness_now(tenant: Tenant, tools: Toolbox, tmp_path: Path) -> None:
    checks = step(tmp_path, "checks:\n  - {name: recent, kind: freshness, column: sold_at, within: 2d, severity: warn}\n", parameters={})
    now = datetime.now(UTC)
    for age, failed in ((timedelta(hours=47), {}), (timedelta(hours=49), {"recent": 1}), (timedelta(hours=-1), {"recent": 1})):
        assert (await run_checks(checks, tools, tenant.tenant_id, [sale(sold_at=now - age)], parameters={})).failing == failed


async def test_severity_error_fails_the_step_when_all_is_recorded(tenant: Tenant, tools: Toolbox, tmp_path: Path) -> None:
    checks = step(tmp_path, "checks:\n  - {name: fair, kind: range, column: price, max: 1}\n  - {name: few, kind: row_count, max: 1}\n")
    with pytest.raises(StepError, match=r"what they guard was not published: fair \(expected price at most 1, 1 rows fail\)\."):
        await run_checks(checks, tools, tenant.tenant_id, [sale()])
    kept = await tenant.rows("SELECT check_name, status FROM x_meta_dq_results ORDER BY check_name")
    assert kept == [{"check_name": "fair", "status": "FAILED"}, {"check_name": "few", "status": "PASSED"}]


async def test_a_tenants_older_table_gets_the_column_with_the_first_sample(tenant: Tenant, tools: Toolbox, tmp_path: Path) -> None:
    """Verdicts without a sample leave the table as it is; both can be read before and after."""
    await tenant.rows("ALTER TABLE x_meta_dq_results DROP COLUMN sample_rows")
    checks = step(tmp_path, "checks:\n  - {name: fair, kind: range, column: price, max: 1, severity: warn}\n")

    good = await run_checks(checks, tools, tenant.tenant_id, [sale(price=1.0)])
    columns = "SELECT column_name FROM INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'x_meta_dq_results' AND column_name = 'sample_rows'"
    assert (good.verdicts["fair"].sample_rows, await tenant.rows(columns)) == ((), [])

    for _ in range(2):
        bad = await run_checks(checks, tools, tenant.tenant_id, [sale(price=2.0)])
        assert bad.verdicts["fair"].sample_rows == [{"price": "2"}]
    assert len(await tenant.rows("SELECT check_name FROM x_meta_dq_results")) == 3


async def test_a_custom_block_alone_is_sent_as_it_is(tenant: Tenant, tools: Toolbox, tmp_path: Path) -> None:
    """A step without any `kind`, as templates have had it: the same job under the same name, and no sample."""
    text = "table: billing_cost_daily\nsql: sale.sql#odd\nchecks:\n  - {name: odd, severity: warn, expect: even}\n"
    checks = step(tmp_path, text, head="type: dq.checks\n")
    assert (checks.query.block, checks.query.values) == (load_blocks(tmp_path / "sale.sql")["odd"], {})
    checked = await run_checks(checks, tools, tenant.tenant_id, [sale(pieces=1), sale(pieces=3), sale()])
    assert (checked.failing, checked.verdicts["odd"].threshold, checked.verdicts["odd"].sample_rows) == ({"odd": 2}, "even", ())


async def test_custom_blocks_without_a_declared_check(tenant: Tenant, tools: Toolbox, tmp_path: Path) -> None:
    """Two blocks, three checks, one job."""
    text = """table: billing_cost_daily
sql: sale.sql#two
checks:
  - {name: first, severity: warn, expect: x}
  - {name: odd, sql: 'sale.sql#odd', severity: warn, expect: x}
  - {name: second, severity: warn, expect: x}
"""
    checks = step(tmp_path, text, head="type: dq.checks\n")
    checked = await run_checks(checks, tools, tenant.tenant_id, [sale(pieces=1)])
    assert (list(checked.verdicts), checked.failing) == (["first", "odd", "second"], {"odd": 1, "second": 1})
