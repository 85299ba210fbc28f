"""Every page of a tenant, as axe sees it, in light and dark, and on a phone: https://github.com/dequelabs/axe-core."""

import pytest
from playwright.async_api import expect

from tests.support.browser import Desk
from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite, Tenant

pytestmark = pytest.mark.timeout(180)
PAGES = (
    *("/runs", "/runs/new", "/runs/new/gcp/cost/billing"),
    *("/setup", "/setup/credentials/GCP", "/setup/schedules", "/setup/schedules/new/gcp/cost/billing", "/setup/queue", "/nowhere"),
)


@pytest.fixture(scope="module")
def acme(running: Suite, private_key: Rsa) -> Tenant:
    """With a run that fails, because its project has no export, and a schedule."""
    tenant = running.tenant(private_key)
    assert tenant.set_credentials().status == 200
    tenant.finished(tenant.start("2025-11-17"))
    nightly = {"provider": "gcp", "domain": "cost", "pipeline_template": "billing", "schedule_cron": "30 2 * * *"}
    assert tenant.rest.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/schedules", nightly).status == 200
    return tenant


async def test_axe_finds_nothing_and_every_page_fits_a_phone(desk: Desk, acme: Tenant) -> None:
    await desk.page.goto(f"{desk.url}/sign-in")
    found = {"/sign-in": await desk.accessibility_faults()}
    await desk.sign_in(acme.api_key)
    for path in PAGES:
        await desk.page.goto(f"{desk.url}{path}")
        found[path] = await desk.accessibility_faults()
    for path in ("/runs", "/setup/schedules"):
        await desk.page.goto(f"{desk.url}{path}")
        await desk.page.get_by_role("rowheader").get_by_role("link").first.click()
        await expect(desk.page.get_by_role("heading", level=1)).to_contain_text("gcp/cost/billing")
        found[f"one of {path}"] = await desk.accessibility_faults()
    assert {path: faults for path, faults in found.items() if faults} == {}
