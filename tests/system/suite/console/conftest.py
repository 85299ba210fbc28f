"""The console beside the suite, and a browser in front of it."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from localcloud.processes.suite import make_process
from localcloud.stack import Stack
from tests.support.browser import Desk, at_desk, running_browser
from tests.support.relay import Relay


@pytest.fixture(scope="package")
async def to_gateway(stack: Stack) -> AsyncIterator[Relay]:
    """The network between console and gateway."""
    relay = Relay(stack.settings.host, stack.settings.gateway_port)
    await relay.up()
    yield relay
    await relay.cut()


@pytest.fixture(scope="package")
async def console_url(stack: Stack, to_gateway: Relay) -> str:
    """The console is stopped with the suite. Operators sign in at the issuer that the services trust; their tokens are for the gateway."""
    url = f"http://{stack.settings.address('console')}"
    extra = {
        "CONSOLE_GATEWAY_URL": f"http://127.0.0.1:{to_gateway.port}",
        "CONSOLE_PUBLIC_URL": url,
        "CONSOLE_OIDC_ISSUER": f"http://{stack.settings.address('google_accounts')}",
        "CONSOLE_OIDC_CLIENT_ID": f"http://{stack.settings.address('gateway')}",
    }
    stack.add(make_process(stack.settings, "console", admin_key="", extra=extra))
    return url


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as started:
        yield started


@pytest.fixture
async def desk(browser: Browser, console_url: str) -> AsyncIterator[Desk]:
    async with at_desk(browser, console_url) as one:
        yield one
