"""A real browser for tests of the console: Debian's chromium, driven by playwright."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, async_playwright

from services.platform.settings import REPOSITORY

SCREENSHOTS = REPOSITORY / ".cache/screenshots"
"""Kept as artifacts of the run."""
NAMES = ("chromium", "chromium-browser", "google-chrome")
AXE = REPOSITORY / ".cache/axe/axe.js"
WAIT_MS = 20_000
"""For what a busy machine makes slow."""
DESKTOP: ViewportSize = {"width": 1280, "height": 860}
PHONE: ViewportSize = {"width": 390, "height": 844}


def chromium() -> str:
    """The browser's program. Raises FileNotFoundError that says how to get it."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    raise FileNotFoundError("There is no chromium on PATH. Debian: apt-get install chromium (`make chromium` does it as root).")


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """One browser; every test opens windows of its own in it."""
    # Chromium's sandbox refuses root, as which containers of CI run.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


class Desk:
    """A person's browser at the console: `page` is its tab. Notes everything that goes wrong in it, the CSP's refusals included."""

    def __init__(self, context: BrowserContext, page: Page, url: str) -> None:
        self.context, self.page, self.url = context, page, url
        self.faults: list[str] = []
        self.allowed = [url]
        """The sites that it may call."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", self._asked)

    async def sign_in(self, key: str, *, tenant_id: str = "", read_only: bool = False) -> None:
        """As a tenant."""
        await self.page.goto(f"{self.url}/sign-in")
        await self.page.get_by_label("API key").fill(key)
        if tenant_id:
            await self.page.get_by_text("does not begin with the tenant's id").click()
            await self.page.get_by_label("Tenant's id").fill(tenant_id)
        if read_only:
            await self.page.get_by_label("Only look").check()
        await self.page.get_by_role("button", name="Sign in").first.click()

    async def sign_in_as_operator(self, key: str) -> None:
        """With an admin key."""
        await self.page.goto(f"{self.url}/sign-in")
        await self.page.get_by_label("Admin key").fill(key)
        await self.page.get_by_role("button", name="Sign in").nth(1).click()

    async def screenshot(self, name: str) -> Path:
        """Keeps what is seen, as `{name}.png`."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        await self.page.screenshot(path=path, animations="disabled")
        return path

    async def accessibility_faults(self) -> list[str]:
        """What axe finds on the page as it is now, in light and dark: the rule, and the elements. And whether it is wider than a phone.

        `make .cache/axe/.stamp` fetches axe.
        """
        # Through the debugger, which the CSP does not concern.
        await self.page.evaluate(AXE.read_text())
        found = await self.page.evaluate("axe.run({resultTypes: ['violations']}).then((result) => result.violations)")
        await self.page.emulate_media(color_scheme="dark")
        found += await self.page.evaluate("axe.run({runOnly: ['color-contrast']}).then((result) => result.violations)")
        await self.page.emulate_media(color_scheme="light")
        await self.page.set_viewport_size(PHONE)
        width = await self.page.evaluate("document.documentElement.scrollWidth")
        await self.page.set_viewport_size(DESKTOP)
        faults = [f"{one['id']}: {', '.join(str(node['target']) for node in one['nodes'][:3])}" for one in found]
        return faults if width <= PHONE["width"] else [*faults, f"it is {width} pixels wide on a phone"]

    def _said(self, message: ConsoleMessage) -> None:
        # Chromium reports each answer of 4xx and 5xx; tests look at those themselves.
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            self.faults.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(("data:", *(f"{url}/" for url in self.allowed))):
            self.faults.append(f"a call to {request.url}")


@asynccontextmanager
async def at_desk(browser: Browser, url: str, **options: Any) -> AsyncIterator[Desk]:
    """A window without cookies; `options` as playwright's new_context takes them, e.g. `color_scheme="dark"`.

    At the end asserts that nothing went wrong in it: no error of a script, no violation of the CSP, no call to another site.
    """
    context = await browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **options})
    context.set_default_timeout(WAIT_MS)
    try:
        desk = Desk(context, await context.new_page(), url)
        yield desk
        assert desk.faults == []
    finally:
        await context.close()
