"""Commitments and credits in FOCUS: by example, on random days, and in a month, compared with a calculation in Python."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from localcloud.sample.day import rows_of_day
from localcloud.sample.schema import DETAILED
from services.executor.records import RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.store import Store
from services.executor.templates.name import PipelineName
from services.executor.templates.step import Toolbox
from services.platform.bigquery.sql import make_block
from tests.integration.executor.steps.test_focus import tampered
from tests.support.executor.billing_export import ACCOUNT, load
from tests.support.executor.focus_examples import EXAMPLES, example_rows
from tests.support.executor.focus_reference import Commitment, Pool, as_billed, commitments, net_costs, promotions
from tests.support.executor.focus_source import DAY, insert
from tests.support.executor.random_commitments import random_days
from tests.support.executor.tenant import BILLING, Tenant

FOCUS = PipelineName(provider="gcp", domain="cost", template="focus")
HALF_A_CENT: Final = Decimal("0.005")
RANDOM_DAYS: Final = int(os.environ.get("RANDOM_DAYS", "5"))
"""How many random days are tried. At most 31 go into a run."""
FIRST: Final = date(2025, 10, 18)

type Row = dict[str, Any]
type Begin = Callable[..., Awaitable[PreparedRun]]
type Focus = Callable[[Sequence[Row]], Awaitable[list[Row]]]


@pytest.fixture
def focus(tenant: Tenant, tools: Toolbox, begin: Begin) -> Focus:
    """The published rows of a run over the days of these rows of billing_cost_daily."""

    async def run(rows: Sequence[Row]) -> list[Row]:
        days = {row["usage_date"] for row in rows}
        await insert(tenant, rows)
        period = {"start_date": min(days).isoformat(), "end_date": max(days).isoformat()}
        outcome = await execute(await begin(FOCUS, **period, invoice_issuer="A reseller"), tools)
        assert outcome.status is RunStatus.COMPLETED, outcome.error_message
        return await tenant.rows("SELECT * FROM focus_cost_daily")

    return run


def is_as_expected(found: object, expected: object) -> bool:
    """Costs to the last of their nine digits, quantities and prices but for what floating point does to them."""
    match found, expected:
        case Decimal(), int() | float():
            return abs(found - Decimal(str(expected))) <= Decimal("1e-9")
        case float(), float():
            return found == pytest.approx(expected, rel=1e-8)
        case _:
            return found == expected


def test_examples_move_money_and_lose_none() -> None:
    """What is expected is true to the bill: BilledCost and EffectiveCost of an example are what its rows cost after credits."""
    by_account: dict[str, list[Row]] = defaultdict(list)
    for row in example_rows():
        by_account[row["billing_account_id"]].append(row)
    for (name, sources), rows in zip(EXAMPLES.items(), by_account.values(), strict=True):
        net = sum(net_costs(rows).values(), Decimal(0))
        for column in ("BilledCost", "EffectiveCost"):
            parts = [Decimal(str(part[column])) for _, expected in sources for part in expected.values()]
            assert abs(sum(parts, -net)) <= Decimal("2e-9"), (name, column)


async def test_every_example_is_right(focus: Focus) -> None:
    """No more rows than expected, and no fewer; each by what its derivation says that it is."""
    found: dict[str, list[dict[str, Row]]] = {name: [{} for _ in sources] for name, sources in EXAMPLES.items()}
    for row in await focus(example_rows()):
        place = row["x_ProviderColumns"]
        parts = found[place["example"]][place["row"]]
        assert row["x_Derivation"] not in parts, (place, row["x_Derivation"])
        parts[row["x_Derivation"]] = row

    wrong: list[Any] = []
    for name, sources in EXAMPLES.items():
        for place, (_, expected) in enumerate(sources):
            parts = found[name][place]
            if set(parts) != set(expected):
                wrong.append((name, place, sorted(parts), sorted(expected)))
            for derivation in set(parts) & set(expected):
                row = parts[derivation]
                for column, value in expected[derivation].items():
                    if not is_as_expected(row[column], value):
                        wrong.append((name, place, derivation, column, row[column], value))
    assert wrong == []


@pytest.mark.parametrize("seed", range(-(-RANDOM_DAYS // 31)))
async def test_money_only_moves(focus: Focus, seed: int) -> None:
    """Whatever days hold: their costs add up to what Google bills, for each invoice month; each row's parts to the row; and of each
    commitment and hour the fees to what was used and what was not.
    """
    count = min(31, RANDOM_DAYS - 31 * seed)
    rows = random_days(seed, [FIRST + timedelta(days=day) for day in range(count)])

    found = await focus(rows)

    sums: dict[Any, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 2)
    pools: dict[Any, Decimal] = defaultdict(Decimal)
    parts: list[list[Row]] = [[] for _ in rows]
    for row in found:
        total = sums[row["x_UsageDate"], row["BillingCurrency"], row["x_InvoiceMonth"]]
        total[:] = total[0] + row["BilledCost"], total[1] + row["EffectiveCost"]
        parts[row["x_ProviderColumns"]["row"]].append(row)
        rule, _, part = row["x_Derivation"].partition(":")
        if part == "fee":
            assert (row["EffectiveCost"], row["ChargeCategory"]) == (0, "Purchase")
        if part in {"used", "used_second", "unused"}:
            assert (row["BilledCost"], row["ChargeCategory"]) == (0, "Usage")
        if part in {"fee", "used", "used_second", "unused"}:
            quota = row["BillingAccountId"], row["ChargePeriodStart"], row["BillingCurrency"], row["x_InvoiceMonth"]
            pools[*quota, rule, row["x_CommitmentPool"]] += row["BilledCost"] - row["EffectiveCost"]

    expected = net_costs(rows)
    assert set(sums) == set(expected)
    off = {key: (total, expected[key]) for key, total in sums.items() if any(abs(one - expected[key]) > HALF_A_CENT for one in total)}
    assert off == {}
    assert {pool: apart for pool, apart in pools.items() if abs(apart) > Decimal("1e-6")} == {}
    assert [wrong for source, some in zip(rows, parts, strict=True) if (wrong := what_is_lost(source, some))] == []


def what_is_lost(source: Row, parts: list[Row]) -> list[Any]:
    """What of a row of billing_cost_daily its rows in FOCUS do not add up to; one of them counts as the row itself."""
    counted = [part for part in parts if not part["x_Derivation"].endswith(("promotion", ":used_second", ":rest", ":unused"))]
    counted += [part for part in parts if part["x_Derivation"] == "before_promotion"]
    net = sum(part["x_NetCost"] for part in parts)
    lost: list[Any] = [] if abs(net - Decimal(repr(source["net_cost"]))) <= Decimal("1e-8") else [("x_NetCost", net, source["net_cost"])]
    lost += [] if len(counted) == 1 and len({part["x_SourceRow"] for part in parts}) == 1 else ["x_SourceRow"]
    if counted and counted[0]["ChargeCategory"] in {"Usage", "Purchase"}:
        whole = [part for part in parts if not part["x_Derivation"].endswith((":unused", "promotion")) or part in counted]
        default = source.get("cost_at_effective_price_default")
        contracted = source["cost"] if default is None else default
        listed = contracted if source["cost_at_list"] is None else source["cost_at_list"]
        for column, cost in (("ContractedCost", contracted), ("ListCost", listed)):
            total = sum(part[column] for part in whole)
            lost += [] if abs(total - Decimal(repr(cost))) <= Decimal("1e-8") else [(column, total, cost)]
    return [source["other_columns"], [part["x_Derivation"] for part in parts], lost] if lost else []


async def test_a_months_savings_waste_and_credits(focus: Focus) -> None:
    """By commitment, to the cent, against the raw rows; commitments of all three models are among them, used in full and in part."""
    rows = random_days(7, [FIRST + timedelta(days=day) for day in range(31)], complete=True)
    expected = commitments(rows)
    assert all(count > 10 for count in Counter(rule for rule, *_ in expected).values())
    assert len({rule for rule, *_ in expected}) == 3
    assert any(one.waste and one.effective for one in expected.values())
    assert any(not one.waste for one in expected.values())

    found = await focus(rows)

    assert not [row["x_Derivation"] for row in found if row["x_Derivation"].endswith("unmatched")]
    assert_to_the_cent(by_commitment(found), expected)
    credited: dict[str, Decimal] = defaultdict(Decimal)
    for row in found:
        if row["ChargeCategory"] == "Credit":
            credited[row["BillingCurrency"]] += row["BilledCost"]
    wanted = promotions(rows)
    assert set(credited) == set(wanted) == {"EUR", "USD"}
    assert all(abs(credited[currency] - amount) < HALF_A_CENT for currency, amount in wanted.items())


async def test_the_sample_tenants_export(tenant: Tenant, tools: Toolbox, begin: Begin, store: Store) -> None:
    """From the export through both pipelines: each commitment of the sample is found, and nothing that it covers is left alone."""
    exported = list(rows_of_day(DAY, 200))
    load(tenant.host, f"{tenant.project}.costs.gcp_billing_export_resource_v1_{ACCOUNT}", exported, DETAILED)
    for pipeline in (BILLING, FOCUS):
        job = await begin(pipeline, date=DAY.isoformat())
        outcome = await execute(job, tools)
        assert (outcome.status, outcome.error_message) == (RunStatus.COMPLETED, None)
        await store.finish_run(tenant.tenant_id, job.run.pipeline_logging_id, outcome, at=datetime.now(UTC))

    found = await tenant.rows("SELECT * FROM focus_cost_daily")

    billed = [as_billed(row) for row in exported]
    assert not [row["x_Derivation"] for row in found if row["x_Derivation"].endswith("unmatched")]
    assert_to_the_cent(by_commitment(found), commitments(billed))
    ids = {row["subscription_instance_id"] for row in billed} - {None}
    assert {row["CommitmentDiscountId"] for row in found if row["x_Derivation"].endswith(":used")} == ids
    for column in ("BilledCost", "EffectiveCost"):
        assert abs(sum(row[column] for row in found) - sum(net_costs(billed).values())) < HALF_A_CENT
    promoted = sum(row["BilledCost"] for row in found if row["ChargeCategory"] == "Credit")
    assert abs(promoted - promotions(billed)["USD"]) < HALF_A_CENT
    assert promoted < 0


def by_commitment(rows: Sequence[Row]) -> dict[Pool, Commitment]:
    """What FOCUS says of each commitment."""
    found: dict[Pool, Commitment] = defaultdict(Commitment)
    for row in rows:
        rule, _, part = row["x_Derivation"].partition(":")
        one = found[rule, row["BillingAccountId"], row["BillingCurrency"], row["x_CommitmentPool"] or ""] if part else Commitment()
        match part:
            case "fee":
                one.fees += row["BilledCost"]
            case "used" | "used_second":
                one.contracted += row["ContractedCost"]
                one.effective += row["EffectiveCost"]
            case "unused":
                one.waste += row["EffectiveCost"]
            case _:
                pass
    return {pool: one for pool, one in found.items() if one.fees}


def assert_to_the_cent(found: Mapping[Pool, Commitment], expected: Mapping[Pool, Commitment]) -> None:
    assert set(found) == set(expected)
    for pool, one in found.items():
        for name in ("fees", "contracted", "savings", "waste"):
            assert abs(getattr(one, name) - getattr(expected[pool], name)) < HALF_A_CENT, (pool, name, one, expected[pool])
        assert abs(one.utilization - expected[pool].utilization) < Decimal("0.001"), pool


async def test_a_commitment_that_is_paid_twice_publishes_nothing(tenant: Tenant, tools: Toolbox, begin: Begin) -> None:
    """What is done to the staged parts of fees and usage is found by the checks on commitments;"""
    rows = example_rows()
    await insert(tenant, rows)
    [day] = {row["usage_date"] for row in rows}
    breaks = {
        "EffectiveCost = 0.02 WHERE x_Derivation = 'resource_based:fee'": {"commitments_paid_once", "effective_cost_agrees"},
        "CommitmentDiscountStatus = 'Used' WHERE x_Derivation = 'consumption_model:unused' AND CommitmentDiscountId IS NOT NULL": {
            "commitments_paid_once"
        },
        "EffectiveCost = EffectiveCost + 0.02 WHERE x_Derivation IN ('spend_based:used', 'resource_based:used')": {
            "commitments_add_up",
            "effective_cost_agrees",
        },
        "x_Derivation = 'promotion' WHERE x_Derivation = 'consumption_model:used'": {
            "rows_agree_with_source",
            "contracted_cost_agrees",
            "list_cost_agrees",
            "commitments_add_up",
        },
    }
    for tamper, broken in breaks.items():
        tampering = make_block("tamper", f"UPDATE x_staging_focus_cost_daily SET {tamper}", {})
        job = tampered(await begin(FOCUS, date=day.isoformat()), tampering)
        outcome = await execute(job, tools)
        assert outcome.status is RunStatus.FAILED, tamper
        assert set(re.findall(r"(\w+) \(expected", outcome.error_message or "")) == broken, tamper
