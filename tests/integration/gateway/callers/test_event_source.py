"""EventSource of a real browser: it connects with a token in the address, and after a cut goes on behind the last event."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from convergence.executor.v1 import watch_service_pb2
from playwright.async_api import Browser, Page

from tests.integration.gateway.conftest import ORIGIN, Gateway
from tests.integration.gateway.upstream import Upstream
from tests.support.browser import running_browser
from tests.support.frontend_doc import open_frontend

WATCH = "/api/v1/pipelines/runs/acme/some-run:watch"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ0IjoiYWNtZSJ9.c2lnbmF0dXJl-_"
IDS = ["0-ab", "1-ab", "2-ab", "3-ab", "end-ab"]
STRANGER = "http://localhost:4173"
FOLLOW = """(url) => {
  window.got = [];
  window.source = new EventSource(url);
  window.source.onmessage = ({data, lastEventId}) => window.got.push([JSON.parse(data).event, lastEventId]);
}"""
CONNECTED_AGAIN_MS = 15_000
"""Chromium waits three seconds."""
type Context = grpc.aio.ServicerContext[Any, Any]


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as browser:
        yield browser


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A tab with an empty page of the frontend."""
    # The pages come from no server, so that Chromium takes them for ones of the internet, which would ask before they call 127.0.0.1.
    page = await browser.new_page(permissions=["local-network-access"])
    for origin in (ORIGIN, STRANGER):
        await page.route(f"{origin}/**", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    await page.goto(f"{ORIGIN}/")
    yield page
    await page.close()


def later(request: watch_service_pb2.WatchRunRequest) -> list[str]:
    """The ids of the events that the watcher lacks."""
    return IDS[IDS.index(request.last_event_id) + 1 :] if request.last_event_id else IDS


async def test_each_event_comes_once_through_a_cut_and_an_expired_token(
    gateway: Gateway, upstreams: dict[str, Upstream], browser: Browser
) -> None:
    """As docs/frontend.md has it. EventSource itself connects again after the cut; after the refusal the page does, with a new token."""
    executor, tokens = upstreams["executor"], iter([f"{TOKEN}1", f"{TOKEN}2"])
    started = datetime(2026, 3, 1, tzinfo=UTC)

    async def unsteady(request: watch_service_pb2.WatchRunRequest, context: Context) -> AsyncIterator[watch_service_pb2.RunEvent]:
        if len(executor.seen) == 2:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "This token has expired.")
        for identity in later(request):
            yield watch_service_pb2.RunEvent(event="RUN", id=identity)
            yield watch_service_pb2.RunEvent(event="WAITING")
            if (identity, len(executor.seen)) == ("1-ab", 1):
                await context.abort(grpc.StatusCode.UNAVAILABLE, "This executor is stopping.")

    executor.stream = unsteady
    # The page takes each token for one that is about to expire.
    page = await open_frontend(browser, gateway.url, lambda: {"session_token": next(tokens), "expires_at": started.isoformat()})
    got = await page.evaluate("""async () => {
      const {follow} = await import("/follow.js");
      const got = [];
      await new Promise((done) => follow("acme", "some-run", ({id}) => got.push(id) && id.startsWith("end-") && done()));
      return got;
    }""")

    assert got == IDS
    assert [seen.request.last_event_id for seen in executor.seen] == ["", "1-ab", "1-ab"]
    assert [seen.metadata["authorization"] for seen in executor.seen] == [f"Bearer {TOKEN}{number}" for number in (1, 1, 2)]
    assert TOKEN not in gateway.log.read_text()


async def test_so_it_does_with_fetch(gateway: Gateway, upstreams: dict[str, Upstream], browser: Browser) -> None:
    executor = upstreams["executor"]

    async def cut(request: watch_service_pb2.WatchRunRequest, context: Context) -> AsyncIterator[watch_service_pb2.RunEvent]:
        for identity in later(request)[:2]:
            yield watch_service_pb2.RunEvent(event="RUN", id=identity)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "This executor is stopping.")

    executor.stream = cut
    page = await open_frontend(browser, gateway.url, lambda: {"session_token": TOKEN, "expires_at": "2999-01-01T00:00:00Z"})
    got = await page.evaluate("""async () => {
      const {watch} = await import("/watch.js");
      const got = [];
      for await (const {id} of watch("acme", "some-run")) got.push(id);
      return got;
    }""")
    assert got == IDS
    assert [seen.request.last_event_id for seen in executor.seen] == ["", "1-ab", "3-ab"]


async def test_after_the_end_a_browser_stays_away(gateway: Gateway, upstreams: dict[str, Upstream], page: Page) -> None:
    async def nothing(_: object, __: Context) -> AsyncIterator[watch_service_pb2.RunEvent]:
        for one in list[watch_service_pb2.RunEvent]():
            yield one

    upstreams["executor"].stream = nothing
    await page.evaluate(FOLLOW, f"{gateway.url}{WATCH}?access_token={TOKEN}&last_event_id=end-ab")
    await page.wait_for_function("window.source.readyState === EventSource.CLOSED")
    assert len(upstreams["executor"].seen) == 1


async def test_a_page_of_another_origin_hears_nothing(gateway: Gateway, upstreams: dict[str, Upstream], page: Page) -> None:
    await page.goto(f"{STRANGER}/")
    await page.evaluate(FOLLOW, f"{gateway.url}{WATCH}?access_token={TOKEN}")
    await page.wait_for_function("window.source.readyState === EventSource.CLOSED")
    assert await page.evaluate("window.got") == []
    refused = await page.evaluate("(url) => fetch(url).then(() => 'read', (error) => error.message)", f"{gateway.url}/api/v1/nope")
    assert refused == "Failed to fetch"


async def test_a_page_reads_refusals_and_the_documents(gateway: Gateway, upstreams: dict[str, Upstream], page: Page) -> None:
    """With its trace's headers, which OpenTelemetry adds to every call."""
    script = """async ([url, method]) => {
      const headers = {traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Idempotency-Key": "k", "X-User-ID": "a"};
      const answer = await fetch(url, {method, headers});
      const exposed = Object.fromEntries(["x-request-id", "allow", "retry-after"].map((name) => [name, answer.headers.get(name)]));
      return {status: answer.status, body: await answer.json(), exposed};
    }"""
    refused = await page.evaluate(script, [f"{gateway.url}{WATCH}", "DELETE"])
    assert (refused["status"], refused["exposed"]["allow"]) == (405, "GET")
    assert refused["body"]["details"][-1]["request_id"] == refused["exposed"]["x-request-id"]
    document = await page.evaluate("async (url) => (await (await fetch(url)).json()).openapi", f"{gateway.url}/openapi.json")
    assert document.startswith("3.")


async def test_the_docs_page_shows_the_interface_and_calls_no_other_host(gateway: Gateway, page: Page) -> None:
    asked, faults = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    await page.goto(f"{gateway.url}/docs")
    await page.get_by_text("Issues a key").first.wait_for(timeout=CONNECTED_AGAIN_MS)

    assert [url for url in asked if not url.startswith((f"{gateway.url}/", "data:"))] == []
    assert faults == []


async def test_a_cut_is_noticed_while_nothing_is_sent(gateway: Gateway, upstreams: dict[str, Upstream], page: Page) -> None:
    """The service's call ends with the tab's, so that its watch makes room for another."""
    ended = asyncio.Event()

    async def silent(_: object, context: Context) -> AsyncIterator[watch_service_pb2.RunEvent]:
        yield watch_service_pb2.RunEvent(event="RUN", id="0-ab")
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    upstreams["executor"].stream = silent
    await page.evaluate(FOLLOW, f"{gateway.url}{WATCH}?access_token={TOKEN}")
    await page.wait_for_function("window.got.length === 1")
    await page.evaluate("window.source.close()")
    async with asyncio.timeout(10):
        await ended.wait()
