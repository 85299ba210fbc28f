"""Operators: by the admin key, and by the issuer that the services trust."""

from http import HTTPStatus

import pytest
from playwright.async_api import expect

from tests.support.browser import Desk
from tests.support.operator_accounts import OperatorAccounts
from tests.system.tenants import Suite

pytestmark = pytest.mark.timeout(180)


async def test_an_admin_key_opens_what_is_for_operators_alone(desk: Desk, running: Suite) -> None:
    await desk.sign_in_as_operator(running.env["ADMIN_API_KEY"])
    await expect(desk.page.get_by_role("banner")).to_contain_text("operator")
    assert running.env["ADMIN_API_KEY"] not in await desk.page.content()

    answer = await desk.page.goto(f"{desk.url}/runs")
    assert answer is not None
    assert answer.status == HTTPStatus.NOT_FOUND

    await desk.page.get_by_role("button", name="Sign out").click()
    await desk.sign_in_as_operator("guessed")
    await expect(desk.page.get_by_role("alert")).to_contain_text("not valid")


async def test_an_operator_signs_in_at_the_issuer(desk: Desk, running: Suite, accounts: OperatorAccounts) -> None:
    accounts.login.email = running.local.scheduler_account
    # The one other site that a browser is sent to.
    desk.allowed.append(accounts.login.url)
    await desk.page.goto(f"{desk.url}/sign-in")
    await desk.page.get_by_role("link", name="Sign in with your organisation").click()

    await expect(desk.page.get_by_role("banner")).to_contain_text(running.local.scheduler_account)
    await expect(desk.page.get_by_role("button", name="Sign out")).to_be_visible()
    assert "eyJ" not in await desk.page.content()


async def test_an_operator_without_a_role_and_a_code_of_another_browser_get_nothing(
    desk: Desk, running: Suite, accounts: OperatorAccounts
) -> None:
    accounts.login.email = "stranger@example.com"
    desk.allowed.append(accounts.login.url)
    await desk.page.goto(f"{desk.url}/sign-in/oidc")
    await expect(desk.page.get_by_text("The issuer did not let you in")).to_be_visible()

    accounts.login.email, accounts.login.nonce = running.local.scheduler_account, "another"
    await desk.page.goto(f"{desk.url}/sign-in/oidc")
    await expect(desk.page.get_by_text("The issuer did not let you in")).to_be_visible()
    accounts.login.nonce = None

    # A link to the way back that someone else has begun.
    await desk.page.goto(f"{desk.url}/sign-in/callback?state=theirs&code=theirs")
    await expect(desk.page.get_by_text("The issuer did not let you in")).to_be_visible()
    await desk.page.goto(f"{desk.url}/runs")
    await expect(desk.page).to_have_url(f"{desk.url}/sign-in?next=/runs")
