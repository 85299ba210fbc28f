"""A run from the click to its end, and what can go wrong on the way."""

import uuid
from datetime import date
from http import HTTPStatus

import pytest
from playwright.async_api import Browser, expect

from tests.support.browser import PHONE, Desk, at_desk
from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.support.relay import Relay
from tests.system.tenants import Suite, Tenant

pytestmark = pytest.mark.timeout(180)
GOOD, BAD = date(2025, 11, 17), date(2025, 11, 18)
RUN_MS = 60_000


@pytest.fixture(scope="module")
def acme(running: Suite, private_key: Rsa) -> Tenant:
    """A tenant with an export of a good day, and of one with rows without a currency."""
    tenant = running.tenant(private_key)
    broken = [{**row, "currency": None} if index % 40 == 0 else row for index, row in enumerate(many(BAD, 80, seed=2))]
    table = f"{tenant.project}.finance.gcp_billing_export_v1_{ACCOUNT}"
    load(running.env["BIGQUERY_EMULATOR_HOST"], table, [*many(GOOD, 80, seed=1), *broken], STANDARD)
    assert tenant.set_credentials().status == 200
    return tenant


async def start(desk: Desk, day: date) -> None:
    """From the list to the page of the new run."""
    await desk.page.get_by_role("link", name="Start a run").first.click()
    await desk.page.get_by_role("link", name="gcp/cost/billing").click()
    await desk.page.get_by_label("Date", exact=True).fill(str(day))
    await desk.page.get_by_role("button", name="Start", exact=True).click()


async def test_a_run_is_followed_from_the_click_to_its_end(desk: Desk, acme: Tenant) -> None:
    """By events alone: the page is never loaded again."""
    await desk.sign_in(acme.api_key)
    await start(desk, GOOD)
    run = desk.page.locator("#run")
    await expect(desk.page.get_by_text("The run has started")).to_be_visible()
    assert await run.get_attribute("data-state") == "RUNNING"
    await desk.page.evaluate("window.is_the_same = true")

    await expect(run).to_have_attribute("data-ended", "1", timeout=RUN_MS)

    assert await desk.page.evaluate("window.is_the_same")
    await expect(run.locator(".tiles")).to_contain_text("completed")
    await expect(desk.page.locator("#announcer")).to_have_text("The run is completed")
    steps = run.get_by_role("region", name="Steps")
    assert await steps.locator(".timeline .good").count() >= 3
    await expect(steps).not_to_contain_text("running")
    await expect(run.get_by_text("checks passed")).to_be_visible()
    await expect(run.get_by_role("button", name="Cancel the run")).to_have_count(0)
    await desk.screenshot("run-completed")
    await desk.page.reload()
    await expect(run.get_by_role("button", name="Run again")).to_be_visible()

    await desk.page.goto(f"{desk.url}/runs?status=COMPLETED&pipeline=gcp/cost/billing")
    await expect(desk.page.get_by_role("rowheader")).to_have_count(1)
    await desk.screenshot("runs-list")
    await desk.page.get_by_label("Status").select_option("FAILED")
    await expect(desk.page.get_by_text("No run fits these filters")).to_be_visible()


async def test_a_failed_check_is_shown_with_its_rows_and_the_run_can_be_run_again(desk: Desk, acme: Tenant) -> None:
    await desk.sign_in(acme.api_key)
    await start(desk, BAD)
    run = desk.page.locator("#run")
    await expect(run).to_have_attribute("data-ended", "1", timeout=RUN_MS)
    first = desk.page.url

    await expect(run.get_by_role("heading", name="Why it failed")).to_be_visible()
    await expect(run.get_by_role("link", name="currency_not_null")).to_be_visible()
    rows = run.get_by_role("region", name="Rows that fail currency_not_null").get_by_role("row")
    assert await rows.count() >= 2
    await expect(rows.nth(1)).to_contain_text("NULL")
    await desk.screenshot("run-failed")

    await run.get_by_role("button", name="Run again with these parameters").click()
    await expect(desk.page.get_by_text("Started with the parameters of")).to_be_visible()
    assert desk.page.url != first
    desk.page.on("dialog", lambda dialog: dialog.accept())
    await run.get_by_role("button", name="Cancel the run").click()
    await expect(desk.page.get_by_text("The run is cancelled").or_(desk.page.get_by_text("nothing is left to cancel"))).to_be_visible()


async def test_what_a_run_would_cost_is_said_before_it_starts_and_bad_input_is_kept(desk: Desk, acme: Tenant) -> None:
    before = acme.quota()["pipelines_run_today"]
    await desk.sign_in(acme.api_key)
    await desk.page.goto(f"{desk.url}/runs/new/gcp/cost/billing")
    await desk.page.get_by_label("Date", exact=True).fill(str(GOOD))
    await desk.page.get_by_role("button", name="Check first").click()
    await expect(desk.page.get_by_role("heading", name="It would run")).to_be_visible()
    await desk.screenshot("run-checked")

    await desk.page.get_by_label("Date", exact=True).fill("Friday")
    await desk.page.get_by_role("button", name="Start", exact=True).click()
    await expect(desk.page.get_by_role("alert")).to_contain_text("BAD_FIELD")
    await expect(desk.page.get_by_label("Date", exact=True)).to_have_value("Friday")
    assert acme.quota()["pipelines_run_today"] == before


async def test_a_key_that_may_only_look_is_offered_nothing_else(desk: Desk, acme: Tenant) -> None:
    await desk.sign_in(acme.api_key, read_only=True)
    await desk.page.goto(f"{desk.url}/runs/new/gcp/cost/billing")
    await expect(desk.page.get_by_text("Your key may not start runs")).to_be_visible()
    await expect(desk.page.get_by_role("button", name="Start", exact=True)).to_have_count(0)


async def test_another_tenants_run_is_not_there(desk: Desk, acme: Tenant, running: Suite, private_key: Rsa) -> None:
    other = running.tenant(private_key)
    assert other.set_credentials().status == 200
    theirs = other.start("2025-11-17").body["pipeline_logging_id"]
    await desk.sign_in(acme.api_key)

    for path in (f"/runs/{theirs}", f"/runs/{theirs}/events", f"/runs/{uuid.uuid4()}"):
        answer = await desk.page.goto(f"{desk.url}{path}")
        assert answer is not None
        assert answer.status == HTTPStatus.NOT_FOUND
        text = await desk.page.content()
        assert "RUN_NOT_FOUND" in text
        assert other.tenant_id not in text


async def test_an_outage_is_a_calm_page_that_mends_itself(desk: Desk, acme: Tenant, to_gateway: Relay) -> None:
    await desk.sign_in(acme.api_key)
    async with to_gateway.away():
        answer = await desk.page.goto(f"{desk.url}/runs")
        assert answer is not None
        assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE
        await expect(desk.page.get_by_role("alert")).to_contain_text("GATEWAY_UNREACHABLE")
        await expect(desk.page.get_by_role("alert")).to_contain_text("Nothing is lost")
        await desk.screenshot("outage")

    await expect(desk.page.get_by_role("heading", name="Runs")).to_be_visible(timeout=RUN_MS)


async def test_a_live_run_survives_a_cut(desk: Desk, acme: Tenant, to_gateway: Relay) -> None:
    await desk.sign_in(acme.api_key)
    await start(desk, GOOD)
    await expect(desk.page.get_by_text("The run has started")).to_be_visible()
    async with to_gateway.away():
        pass

    await expect(desk.page.locator("#run")).to_have_attribute("data-ended", "1", timeout=RUN_MS)
    await expect(desk.page.locator("#run .tiles")).to_contain_text("completed")


async def test_keyboard_and_phone_and_dark(browser: Browser, console_url: str, acme: Tenant) -> None:
    """Signed in and to a run's page by keys alone, on a phone, in the dark."""
    async with at_desk(browser, console_url, viewport=PHONE, color_scheme="dark", has_touch=True) as desk:
        page = desk.page
        await page.goto(f"{desk.url}/sign-in")
        await page.keyboard.type(acme.api_key)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Runs")).to_be_visible()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Start a run").first).to_be_focused()
        assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 21, 27)"
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        await desk.screenshot("runs-phone-dark")
        await page.get_by_role("button", name="Light or dark").click()
        await page.reload()
        assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(246, 247, 249)"
