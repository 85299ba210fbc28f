"""The console beside the suite, and a browser in front of it."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from localcloud.processes.suite import make_process
from localcloud.stack import Stack
from tests.support.browser import Desk, at_desk, running_browser


@pytest.fixture(scope="package")
def console_url(stack: Stack) -> str:
    """It is stopped with the suite."""
    stack.add(make_process(stack.settings, "console", admin_key=""))
    return f"http://{stack.settings.address('console')}"


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as started:
        yield started


@pytest.fixture
async def desk(browser: Browser, console_url: str) -> AsyncIterator[Desk]:
    async with at_desk(browser, console_url) as one:
        yield one
