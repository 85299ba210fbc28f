"""The console without a pointer, enlarged, and on paper."""

import pytest
from playwright.async_api import Browser, expect

from tests.support.browser import Desk, at_desk
from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def key(running: Suite, private_key: Rsa) -> str:
    return running.tenant(private_key).rest.headers["X-API-Key"]


async def test_a_filter_is_chosen_with_arrows_and_applied_with_the_button(desk: Desk, key: str) -> None:
    await desk.sign_in(key)
    await desk.page.goto(f"{desk.url}/runs")
    keyboard = desk.page.keyboard
    await keyboard.press("Tab")
    await expect(desk.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await keyboard.press("Enter")
    for _ in range(2):  # Start a run, then the first filter
        await keyboard.press("Tab")
    status = desk.page.get_by_label("Status")
    await expect(status).to_be_focused()
    await keyboard.press("ArrowDown")
    await keyboard.press("ArrowDown")
    await expect(status).to_have_value("COMPLETED")
    await expect(desk.page).to_have_url(f"{desk.url}/runs#main")

    await desk.page.get_by_role("button", name="Filter").press("Enter")
    await expect(desk.page).to_have_url(f"{desk.url}/runs?status=COMPLETED&pipeline=&date=")
    # By pointer no button is needed.
    await desk.page.get_by_label("Status").select_option("FAILED")
    await expect(desk.page).to_have_url(f"{desk.url}/runs?status=FAILED&pipeline=&date=")


async def test_at_twice_the_size_nothing_lies_beside_the_page_and_paper_is_white(browser: Browser, console_url: str, key: str) -> None:
    async with at_desk(browser, console_url, viewport={"width": 640, "height": 430}, color_scheme="dark", reduced_motion="reduce") as desk:
        await desk.sign_in(key)
        widths = {}
        for path in ("/runs", "/runs/new", "/setup", "/setup/schedules"):
            await desk.page.goto(f"{desk.url}{path}")
            widths[path] = await desk.page.evaluate("document.documentElement.scrollWidth")
        assert {path: width for path, width in widths.items() if width > 640} == {}
        await desk.page.emulate_media(media="print")
        assert await desk.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert await desk.page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(0, 0, 0)"
        await expect(desk.page.get_by_role("navigation")).to_have_count(0)
