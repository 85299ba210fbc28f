"""The operator's screens in a real browser."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import expect

from localcloud.rest import until
from tests.support.browser import Desk
from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite, Tenant

pytestmark = pytest.mark.timeout(180)
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


@pytest.fixture(scope="module")
def failing(running: Suite, private_key: Rsa) -> Tenant:
    """A tenant whose run has failed: it has no export."""
    tenant = running.tenant(private_key, daily_limit=5)
    assert tenant.set_credentials().status == 200
    assert tenant.finished(tenant.start(YESTERDAY))["status"] == "FAILED"

    def listed() -> bool:
        answer = running.admin.call("GET", f"/api/v1/runs?tenant_id={tenant.tenant_id}&status=FAILED")
        return bool(answer.body["runs"])

    until(listed, bool, seconds=30)
    return tenant


async def test_an_operator_finds_who_fails_and_why(desk: Desk, running: Suite, failing: Tenant) -> None:
    await desk.sign_in_as_operator(running.env["ADMIN_API_KEY"])

    await expect(desk.page).to_have_url(f"{desk.url}/tenants")
    await desk.page.goto(f"{desk.url}/tenants?search={failing.tenant_id}")
    row = desk.page.get_by_role("row", name=failing.tenant_id)
    await expect(row).to_contain_text("failing")
    await expect(row).to_contain_text("1 of 5")
    assert await desk.accessibility_faults() == []
    await desk.screenshot("tenants")
    await row.get_by_role("link").click()
    await expect(desk.page.get_by_role("region", name="Runs of the tenant")).to_contain_text("export")
    assert await desk.accessibility_faults() == []
    await desk.page.goto(f"{desk.url}/tenants?search=there-is-none")
    await expect(desk.page.get_by_text("No tenant fits these filters")).to_be_visible()
    assert await desk.accessibility_faults() == []


async def test_a_tenant_is_suspended_resumed_and_offboarded(desk: Desk, running: Suite, private_key: Rsa) -> None:
    tenant = running.tenant(private_key)
    await desk.sign_in_as_operator(running.env["ADMIN_API_KEY"])
    desk.page.on("dialog", lambda dialog: dialog.accept())
    await desk.page.goto(f"{desk.url}/tenants/{tenant.tenant_id}")

    await desk.page.get_by_role("button", name="Suspend").click()
    await expect(desk.page.get_by_role("status")).to_contain_text("The tenant is suspended")
    await desk.page.get_by_role("button", name="Resume").click()
    await expect(desk.page.get_by_role("status")).to_contain_text("active again")
    await desk.page.get_by_text("End this tenant for good").click()
    await desk.page.get_by_label("The tenant's id, once more").fill("another_one")
    await desk.page.get_by_role("button", name=f"Offboard {tenant.tenant_id}").click()
    await expect(desk.page.get_by_text("BAD_FIELD")).to_be_visible()
    assert await desk.accessibility_faults() == []
    await desk.page.goto(f"{desk.url}/tenants/{tenant.tenant_id}")
    await desk.page.get_by_text("End this tenant for good").click()
    await desk.page.get_by_label("The tenant's id, once more").fill(tenant.tenant_id)
    await desk.page.get_by_role("button", name=f"Offboard {tenant.tenant_id}").click()
    await expect(desk.page.get_by_role("status")).to_contain_text("1 keys revoked")
    answer = running.admin.call("GET", f"/api/v1/tenants/{tenant.tenant_id}")
    assert answer.body["status"] == "OFFBOARDED"


async def test_the_fleet_shows_queue_jobs_dollars_and_failures(desk: Desk, running: Suite, failing: Tenant) -> None:
    assert running.admin.call("POST", "/api/v1/scheduler/process-queue", {}).status == 200
    until(lambda: running.admin.call("GET", "/api/v1/fleet").body, _has_seen_process_queue, seconds=30)
    await desk.sign_in_as_operator(running.env["ADMIN_API_KEY"])
    await desk.page.goto(f"{desk.url}/fleet")

    await expect(desk.page.get_by_role("row", name="process-queue")).to_contain_text("on time")
    await expect(desk.page.get_by_role("row", name="This month")).to_contain_text("$")
    await expect(desk.page.get_by_role("region", name="Failed runs")).to_contain_text(failing.tenant_id)
    assert await desk.accessibility_faults() == []
    await desk.screenshot("fleet")
    await desk.page.get_by_role("link", name="Runs of all tenants").click()
    await expect(desk.page.get_by_role("heading", level=1)).to_have_text("Runs of all tenants")
    assert await desk.accessibility_faults() == []
    await desk.page.get_by_label("Tenant", exact=True).fill("there_is_none")
    await desk.page.get_by_role("button", name="Filter").click()
    await expect(desk.page.get_by_text("There is no tenant there_is_none")).to_be_visible()
    assert await desk.accessibility_faults() == []
    await desk.page.get_by_label("Tenant", exact=True).fill(failing.tenant_id)
    await desk.page.get_by_label("Status").select_option("CANCELLED")
    await desk.page.get_by_role("button", name="Filter").click()
    await expect(desk.page.get_by_text("No run fits these filters")).to_be_visible()
    assert await desk.accessibility_faults() == []


async def test_tenants_have_no_operators_screens(desk: Desk, failing: Tenant) -> None:
    await desk.sign_in(failing.rest.headers["X-API-Key"])
    for path in ("/tenants", f"/tenants/{failing.tenant_id}", "/fleet", "/fleet/runs"):
        answer = await desk.page.goto(f"{desk.url}{path}")
        assert answer is not None
        assert answer.status == 404


def _has_seen_process_queue(fleet: dict[str, list[dict[str, object]]]) -> bool:
    return any(one["job"] == "process-queue" and one.get("last_success_at") for one in fleet["jobs"])
