"""The code of docs/frontend.md as a page in a browser runs it."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from playwright.async_api import Browser, Page, Route

from services.platform.settings import REPOSITORY

ORIGIN = "http://localhost:5173"
"""Of the page. The gateway allows it by default."""
EXAMPLE = "http://127.0.0.1:8080"
"""The gateway's address in the document."""
WAIT_MS = 20_000
_BLOCK = re.compile(r"^```(?:js|ts|python)\n(?://|#) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(gateway_url: str) -> Mapping[str, str]:
    """Each file of the document by its name, for the gateway at this address."""
    found = dict(_BLOCK.findall((REPOSITORY / "docs/frontend.md").read_text()))
    return {name: code.replace(EXAMPLE, gateway_url) for name, code in found.items()}


async def open_frontend(browser: Browser, gateway_url: str, session: Callable[[], Mapping[str, Any]]) -> Page:
    """A tab with an empty page that can import the document's modules. `session` is the backend's answer to `POST /session`."""
    modules = blocks(gateway_url)

    async def serve(route: Route) -> None:
        name = route.request.url.removeprefix(f"{ORIGIN}/")
        if name == "session":
            await route.fulfill(body=json.dumps(dict(await asyncio.to_thread(session))), content_type="application/json")
        elif name in modules:
            await route.fulfill(body=modules[name], content_type="text/javascript")
        else:
            await route.fulfill(body="<!doctype html>", content_type="text/html")

    # The page comes from no server, so that Chromium takes it for one of the internet, which would ask before it calls 127.0.0.1.
    page = await browser.new_page(permissions=["local-network-access"])
    page.set_default_timeout(WAIT_MS)
    await page.route(f"{ORIGIN}/**", serve)
    await page.goto(f"{ORIGIN}/")
    return page
