"""Costs in a real browser: what is shown is what was published."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from playwright.async_api import expect

from tests.support.browser import Desk
from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.system.tenants import Suite, Tenant

pytestmark = pytest.mark.timeout(180)
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
SCOPES = ["costs:read", "pipelines:run", "runs:read"]


@pytest.fixture(scope="module")
def tenant(running: Suite, private_key: Rsa) -> Tenant:
    tenant = running.tenant(private_key)
    table = f"{tenant.project}.exports.gcp_billing_export_v1_{ACCOUNT}"
    load(running.env["BIGQUERY_EMULATOR_HOST"], table, many(YESTERDAY, 60), STANDARD)
    assert tenant.set_credentials().status == 200
    assert tenant.finished(tenant.start(YESTERDAY))["status"] == "COMPLETED"
    return tenant


@pytest.fixture(scope="module")
def costs_key(running: Suite, tenant: Tenant) -> str:
    answer = running.admin.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/api-keys", {"scopes": SCOPES})
    return str(answer.body["api_key"])


async def test_the_costs_of_a_day_are_those_of_the_api(desk: Desk, tenant: Tenant, costs_key: str) -> None:
    await desk.sign_in(costs_key)

    await expect(desk.page).to_have_url(f"{desk.url}/costs")
    await expect(desk.page.get_by_role("heading", name="By service")).to_be_visible()
    rows = tenant.rows(f"SELECT SUM(BilledCost) AS cost FROM {{}}.focus_cost_daily WHERE x_UsageDate = '{YESTERDAY}'")
    total = Decimal(rows[0]["cost"])
    await expect(desk.page.locator(".tiles")).to_contain_text(f"{total:,.2f}".replace(",", "\N{NARROW NO-BREAK SPACE}"))
    # The chart is drawn: its canvas has pixels of more than one colour.
    drawn = "canvas => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size > 8"
    assert await desk.page.locator("canvas").evaluate(drawn)
    await desk.screenshot("costs")

    # What has moved comes after the page; nothing did.
    await expect(desk.page.get_by_text("Nothing has moved")).to_be_visible()
    await desk.page.get_by_text("Every day in numbers").click()
    await expect(desk.page.get_by_role("row", name=YESTERDAY.isoformat())).to_contain_text("open")
    assert await desk.accessibility_faults() == []

    # What has moved is a page of its own, too, for browsers without JavaScript.
    await desk.page.goto(f"{desk.url}/costs/changes?currency=USD")
    await expect(desk.page.get_by_role("heading", level=1)).to_contain_text("What has moved since")
    assert await desk.accessibility_faults() == []


async def test_a_service_can_be_looked_into_and_a_filter_that_fits_nothing_says_so(desk: Desk, costs_key: str) -> None:
    await desk.sign_in(costs_key)
    service = desk.page.get_by_role("region", name="Costs by group").get_by_role("link").first
    name = await service.text_content()
    await service.click()

    await expect(desk.page.locator("#filter")).to_have_value(f"service={name}")
    await desk.page.locator("#filter").fill("service=there is none")
    await desk.page.locator("#filter").press("Enter")
    await expect(desk.page.get_by_text("No costs in this range")).to_be_visible()
    assert await desk.accessibility_faults() == []
    await desk.page.locator("#filter").fill("nonsense")
    await desk.page.locator("#filter").press("Enter")
    await expect(desk.page.get_by_text("BAD_FIELD")).to_be_visible()
    assert await desk.accessibility_faults() == []


async def test_a_key_without_the_scope_is_not_shown_costs(desk: Desk, tenant: Tenant) -> None:
    await desk.sign_in(tenant.rest.headers["X-API-Key"])
    answer = await desk.page.goto(f"{desk.url}/costs")

    assert answer is not None
    assert answer.status == 403
    await expect(desk.page.get_by_text("costs:read")).to_be_visible()
    assert await desk.accessibility_faults() == []
