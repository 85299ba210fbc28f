"""Every page of a tenant, as axe sees it in light and dark: https://github.com/dequelabs/axe-core."""

from typing import Literal

import pytest
from playwright.async_api import Browser, expect

from tests.support.browser import PHONE, at_desk
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(browser: Browser, console_url: str, acme: Tenant, scheme: Literal["light", "dark"]) -> None:
    async with at_desk(browser, console_url, color_scheme=scheme) as desk:
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


async def test_no_page_is_wider_than_a_phone(browser: Browser, console_url: str, acme: Tenant) -> None:
    widths = {}
    async with at_desk(browser, console_url, viewport=PHONE, is_mobile=True, has_touch=True) as desk:
        await desk.sign_in(acme.api_key)
        for path in PAGES:
            await desk.page.goto(f"{desk.url}{path}")
            widths[path] = await desk.page.evaluate("document.documentElement.scrollWidth")
    assert {path: width for path, width in widths.items() if width > PHONE["width"]} == {}
