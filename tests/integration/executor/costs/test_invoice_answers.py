"""ListInvoices against what was published, and the amounts that a tenant enters."""

from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from convergence.executor.v1 import cost_pb2
from convergence.executor.v1 import cost_service_pb2 as messages

from services.executor.servicers.cost import CostServicer
from services.platform.bigquery.client import BigQuery
from services.platform.errors import FailedPrecondition
from tests.support.counting import jobs
from tests.support.executor.published import Charge, publish
from tests.support.executor.tenant import Tenant

NOVEMBER, OCTOBER = date(2025, 11, 1), date(2025, 10, 1)
NO_CONTEXT: Any = None
PARTS = ("charges", "credits", "taxes", "adjustments", "rounding")
A_MONTH = (
    Charge(amount="80", credits="-20"),  # 100 before a credit of 20
    Charge(amount="-5", category="Credit", credits=None),  # another cloud's credit, which has no list of credits
    Charge(amount="14.25", category="Tax"),
    Charge(amount="-3", category="Adjustment", cost_type="adjustment"),
    Charge(amount="-1.5", category="Usage", charge_class="Correction", month=NOVEMBER),
    Charge(amount="0.004", category="Adjustment", cost_type="rounding_error"),
    Charge(amount="7", currency="EUR", account="000000-BBBBBB"),
)


async def invoices(servicer: CostServicer, tenant: Tenant, first: str = "2025-11", **more: Any) -> messages.ListInvoicesResponse:
    request = messages.ListInvoicesRequest(tenant_id=tenant.tenant_id, start_month=first, end_month="2025-11", **more)
    return await servicer.ListInvoices(request, NO_CONTEXT)


def parts(invoice: cost_pb2.Invoice) -> list[str]:
    return [getattr(invoice, name) for name in PARTS]


async def test_an_invoice_adds_up_and_says_what_was_used_in_other_months(servicer: CostServicer, tenant: Tenant, bq: BigQuery) -> None:
    await publish(bq, tenant.tenant_id, date(2025, 11, 17), *A_MONTH)
    # Late usage of October on November's invoice, and the last hours of October in California, which are November in UTC.
    await publish(bq, tenant.tenant_id, date(2025, 10, 31), Charge(amount="2.5", month=NOVEMBER))
    await publish(bq, tenant.tenant_id, date(2025, 11, 1), Charge(amount="9", month=OCTOBER, hour=6))

    found = (await invoices(servicer, tenant, first="2025-10")).invoices
    assert [(one.invoice_month, one.currency, one.billing_account_id) for one in found] == [
        ("2025-11", "USD", "000000-AAAAAA"),
        ("2025-11", "EUR", "000000-BBBBBB"),
        ("2025-10", "USD", "000000-AAAAAA"),
    ]
    assert parts(found[0]) == ["102.5", "-25", "14.25", "-4.5", "0.004"]
    assert (found[0].total, found[0].used_in_other_months) == ("87.254", "2.5")
    assert (found[2].total, found[2].used_in_other_months) == ("9", "0")

    one_account = (await invoices(servicer, tenant, billing_account_id="000000-BBBBBB")).invoices
    assert [one.total for one in one_account] == ["7"]
    without_late_usage = (await invoices(servicer, tenant, used_from="2025-11-01")).invoices
    assert [one.total for one in without_late_usage if one.currency == "USD"] == ["84.754"]

    before = jobs()
    await invoices(servicer, tenant, first="2025-10")
    assert jobs() == before, "asked again it costs nothing"


async def test_random_invoices_add_up_to_the_last_decimal(servicer: CostServicer, tenant: Tenant, bq: BigQuery) -> None:
    random = Random(3)
    charges = [
        Charge(
            amount=f"{Decimal(random.randrange(-(10**12), 10**12)) / 10**9}",
            credits=random.choice((None, f"{Decimal(random.randrange(-(10**10), 0)) / 10**9}")),
            category=random.choice(("Usage", "Purchase", "Credit", "Tax", "Adjustment")),
            charge_class=random.choice((None, None, "Correction")),
            cost_type=random.choice(("regular", "rounding_error")),
            account=random.choice("AB"),
        )
        for _ in range(300)
    ]
    await publish(bq, tenant.tenant_id, date(2025, 11, 17), *charges)
    found = (await invoices(servicer, tenant)).invoices
    for one in found:
        assert sum(map(Decimal, parts(one))) == Decimal(one.total)
        assert Decimal(one.total) == sum(Decimal(charge.amount) for charge in charges if charge.account == one.billing_account_id)
    assert len(found) == 2


async def test_an_entered_amount_is_compared_replaced_and_taken_back(
    servicer: CostServicer, tenant: Tenant, tenant_id: str, bq: BigQuery
) -> None:
    await publish(bq, tenant.tenant_id, date(2025, 11, 17), Charge(amount="100.005"))
    key = {"tenant_id": tenant.tenant_id, "invoice_month": "2025-11", "billing_account_id": "000000-AAAAAA", "currency": "USD"}

    async def compared(amount: str) -> cost_pb2.Invoice:
        entered = await servicer.PutInvoiceAmount(messages.PutInvoiceAmountRequest(**key, amount=amount), NO_CONTEXT)
        assert (entered.amount, entered.entered_by_user_id) == (amount, "alice")
        [one] = (await invoices(servicer, tenant)).invoices
        return one

    [nothing_entered] = (await invoices(servicer, tenant)).invoices
    assert (nothing_entered.HasField("entered"), nothing_entered.difference, nothing_entered.agrees) == (False, "", False)
    wrong = await compared("99")
    assert (wrong.entered.amount, wrong.difference, wrong.agrees) == ("99", "1.005", False)
    right = await compared("100.01")
    assert (right.difference, right.agrees) == ("-0.005", True)

    costs = jobs("invoice_sums")
    other = messages.PutInvoiceAmountRequest(**{**key, "billing_account_id": "a-typo"}, amount="100.01")
    await servicer.PutInvoiceAmount(other, NO_CONTEXT)
    assert [one.billing_account_id for one in (await invoices(servicer, tenant)).unmatched] == ["a-typo"]
    assert jobs("invoice_sums") == costs, "what is entered does not change what is published"

    gone = messages.DeleteInvoiceAmountRequest(**key)
    for _ in range(2):
        await servicer.DeleteInvoiceAmount(gone, NO_CONTEXT)
        [one] = (await invoices(servicer, tenant)).invoices
        assert (one.HasField("entered"), one.agrees) == (False, False)
    assert len(await tenant.rows("SELECT entry_id FROM x_meta_invoices")) == 4, "each entry stays; the second delete wrote none"

    with pytest.raises(FailedPrecondition, match="has no dataset yet"):
        await servicer.PutInvoiceAmount(messages.PutInvoiceAmountRequest(**{**key, "tenant_id": tenant_id}, amount="1"), NO_CONTEXT)
