"""What a tenant sets up, in the browser."""

import json

import pytest
from playwright.async_api import expect

from tests.support.browser import Desk
from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite, Tenant

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def acme(running: Suite, private_key: Rsa) -> Tenant:
    tenant = running.tenant(private_key, daily_limit=0, monthly_limit=500)
    assert tenant.set_credentials().status == 200
    return tenant


async def test_quota_says_which_limit_would_refuse(desk: Desk, acme: Tenant) -> None:
    await desk.sign_in(acme.api_key)
    await desk.page.get_by_role("link", name="Set-up").click()

    refusing = desk.page.locator(".tiles > div", has=desk.page.get_by_text("refuses the next run"))
    await expect(refusing).to_have_count(1)
    await expect(refusing).to_contain_text("Runs today")
    await expect(desk.page.locator(".tiles")).to_contain_text("of 500")
    await desk.screenshot("setup")


async def test_credentials_are_stored_checked_and_deleted_and_no_secret_is_shown(desk: Desk, acme: Tenant) -> None:
    page, key_file = desk.page, json.dumps({**json.loads(acme.credentials["credentials"]["service_account_json"]), "type": "user"})
    await desk.sign_in(acme.api_key)
    await page.goto(f"{desk.url}/setup")
    await page.get_by_role("button", name="Check now: GCP").click()
    await expect(page.get_by_role("link", name="Back to Set-up")).to_be_visible()
    await expect(page.get_by_role("region", name="What was tried")).to_be_visible()
    await desk.screenshot("setup-checked")

    await page.goto(f"{desk.url}/setup/credentials/GCP")
    await page.get_by_label("Project id").fill("p-kept")
    await page.get_by_label("Key file").fill(key_file)
    await page.get_by_label("Try them first").uncheck()
    await page.get_by_role("button", name="Store").click()
    await expect(page.get_by_role("alert")).to_contain_text("BAD_FIELD")
    await expect(page.get_by_label("Project id")).to_have_value("p-kept")
    await expect(page.get_by_label("Key file")).to_have_value("")
    assert "PRIVATE KEY" not in await page.content()

    await page.goto(f"{desk.url}/setup/credentials/WEBHOOK")
    await page.get_by_label("URL").fill("https://hooks.acme.example/convergence")
    await page.get_by_label("Signing secret").fill("a-secret-of-this-test")
    await page.get_by_role("button", name="Store").click()
    await expect(page.get_by_text("WEBHOOK credentials added")).to_be_visible()
    assert "a-secret-of-this-test" not in await page.content()
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Delete: WEBHOOK").click()
    await expect(page.get_by_role("rowheader")).to_have_count(1)


async def test_a_schedule_with_its_next_times_is_paused_filled_in_and_deleted(desk: Desk, acme: Tenant) -> None:
    page = desk.page
    await desk.sign_in(acme.api_key)
    await page.goto(f"{desk.url}/setup/schedules/new/gcp/cost/billing")
    await page.get_by_label("Cron expression").fill("30 2 * * *")
    await page.get_by_label("Timezone").fill("Europe/Nowhere")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("alert")).to_contain_text("timezone")
    await page.get_by_label("Timezone").fill("Europe/Berlin")
    await page.get_by_role("button", name="Create").click()

    times = page.get_by_role("region", name="Next times").get_by_role("rowheader")
    await expect(times).to_have_count(5)
    await expect(times.first).to_contain_text("02:30:00")
    await desk.screenshot("setup-schedule")
    schedule = page.url

    await page.get_by_label("First day").fill("2025-11-17")
    await page.get_by_label("Last day").fill("2025-11-18")
    await page.get_by_role("button", name="Queue", exact=True).click()
    await expect(page.get_by_text("2 days are queued")).to_be_visible()
    # The reasons come by htmx.
    await expect(page.get_by_text("daily or monthly limit").first).to_be_visible()
    await desk.screenshot("setup-queue")

    await page.goto(schedule)
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_text("It is paused; its next times")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("No schedule yet")).to_be_visible()
