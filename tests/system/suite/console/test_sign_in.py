"""Who gets in, and who does not."""

import asyncio
from http import HTTPStatus

import pytest
from playwright.async_api import expect

from tests.support.browser import Desk
from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite, Tenant

pytestmark = pytest.mark.timeout(180)
REVOKED_WITHIN_SECONDS = 30.0  # five, and as long as a busy machine takes


@pytest.fixture(scope="module")
def tenant(running: Suite, private_key: Rsa) -> Tenant:
    return running.tenant(private_key)


async def test_a_good_key_opens_the_first_screen_and_is_kept_nowhere(desk: Desk, tenant: Tenant) -> None:
    await desk.sign_in(tenant.api_key)

    await expect(desk.page).to_have_url(f"{desk.url}/runs")
    await expect(desk.page.get_by_text("No run yet")).to_be_visible()
    await expect(desk.page.get_by_role("banner")).to_contain_text(tenant.tenant_id)
    await desk.screenshot("runs-empty")
    [cookie] = await desk.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    seen = [await desk.page.content(), cookie["value"], await desk.page.evaluate("JSON.stringify([localStorage, sessionStorage])")]
    assert not any(tenant.api_key in text or "eyJ" in text for text in seen)


async def test_a_bad_key_opens_nothing_and_is_not_shown_again(desk: Desk, tenant: Tenant) -> None:
    bad = f"{tenant.tenant_id}_api_v1_{'x' * 38}"
    await desk.sign_in(bad)

    await expect(desk.page.get_by_role("alert")).to_contain_text("This API key is not valid")
    await desk.screenshot("sign-in-refused")
    assert bad not in await desk.page.content()
    answer = await desk.page.goto(f"{desk.url}/runs")
    assert answer is not None
    assert answer.url == f"{desk.url}/sign-in?next=/runs"


async def test_whom_the_page_was_for_it_comes_back_to(desk: Desk, tenant: Tenant) -> None:
    await desk.page.goto(f"{desk.url}/runs/new")
    await desk.page.get_by_label("API key").fill(tenant.api_key)
    await desk.page.keyboard.press("Enter")

    await expect(desk.page.get_by_role("heading", name="Start a run")).to_be_visible()
    await expect(desk.page).to_have_url(f"{desk.url}/runs/new")


async def test_signing_out_ends_the_session_in_the_server(desk: Desk, tenant: Tenant) -> None:
    await desk.sign_in(tenant.api_key)
    cookies = await desk.context.cookies()
    await desk.page.get_by_role("button", name="Sign out").click()
    await expect(desk.page.get_by_text("You are signed out")).to_be_visible()

    await desk.context.add_cookies([{"name": one["name"], "value": one["value"], "url": desk.url} for one in cookies])
    await desk.page.goto(f"{desk.url}/runs")

    await expect(desk.page.get_by_text("Your session has ended")).to_be_visible()


async def test_a_form_without_its_token_changes_nothing(desk: Desk, tenant: Tenant) -> None:
    await desk.sign_in(tenant.api_key)
    for headers in ({}, {"X-CSRF-Token": "guessed"}):
        answer = await desk.context.request.post(
            f"{desk.url}/runs/new/gcp/cost/billing", form={"date": "2025-11-17"}, headers={"Sec-Fetch-Site": "same-origin", **headers}
        )
        assert answer.status == HTTPStatus.FORBIDDEN
        assert "Nothing was changed" in await answer.text()
    assert tenant.quota()["pipelines_run_today"] == 0
    # Nor does another site sign anybody out.
    elsewhere = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    answer = await desk.context.request.post(f"{desk.url}/sign-out", headers=elsewhere, max_redirects=0)
    assert answer.status == HTTPStatus.FORBIDDEN
    await desk.page.goto(f"{desk.url}/runs")
    await expect(desk.page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()


async def test_a_session_ends_with_the_key_that_opened_it(desk: Desk, running: Suite, private_key: Rsa) -> None:
    gone = running.tenant(private_key)
    await desk.sign_in(gone.api_key)
    await expect(desk.page).to_have_url(f"{desk.url}/runs")
    keys = f"/api/v1/tenants/{gone.tenant_id}/api-keys"
    [key] = running.admin.call("GET", keys).body["api_keys"]
    assert running.admin.call("DELETE", f"{keys}/{key['api_key_id']}").status == HTTPStatus.OK

    async with asyncio.timeout(REVOKED_WITHIN_SECONDS):
        while "/sign-in" not in desk.page.url:
            await desk.page.goto(f"{desk.url}/runs")

    await expect(desk.page.get_by_text("Your session has ended")).to_be_visible()
