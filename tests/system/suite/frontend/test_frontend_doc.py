"""docs/frontend.md: its code, as it stands, in a real browser against the whole suite."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route

from tests.support.browser import running_browser
from tests.support.credentials.samples import Rsa
from tests.support.frontend_doc import blocks, open_frontend
from tests.system.tenants import Suite, Tenant

pytestmark = pytest.mark.timeout(180)
DAY = "2025-11-17"


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def tenant(running: Suite, private_key: Rsa) -> Tenant:
    """Its runs fail soon: there is no export to read."""
    tenant = running.tenant(private_key, project="no-billing-export")
    assert tenant.set_credentials().status == 200
    return tenant


@pytest.fixture
def backend(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Mapping[str, str]]:
    """The document's own, with the tenant's key; alice has logged in."""
    monkeypatch.setenv("GATEWAY_URL", tenant.rest.url)
    monkeypatch.setenv("TENANT", tenant.tenant_id)
    monkeypatch.setenv("API_KEY", tenant.rest.headers["X-API-Key"])
    module: dict[str, Any] = {"__name__": "backend"}
    exec(blocks(os.environ["GATEWAY_URL"])["backend.py"], module)
    made = list[Mapping[str, str]]()

    def session() -> Mapping[str, str]:
        made.append(module["session_for"]("alice@acme.example"))
        assert len(made) == 1, "it is good for a quarter of an hour"
        return made[0]

    return session


@pytest.fixture
async def page(browser: Browser, tenant: Tenant, backend: Callable[[], Mapping[str, str]]) -> AsyncIterator[Page]:
    page = await open_frontend(browser, tenant.rest.url, backend)
    yield page
    await page.close()


async def test_a_run_is_started_once_and_followed_to_its_end(page: Page, tenant: Tenant) -> None:
    """By fetch and by EventSource, from its start and from behind any event; no process has logged the token."""
    run = await page.evaluate(
        f"async (tenant) => (await import('/start.js')).start(tenant, 'gcp/cost/billing', {{date: '{DAY}'}})", tenant.tenant_id
    )
    watched = await page.evaluate(
        """async ([tenant, run, last]) => {
          const {watch} = await import("/watch.js");
          const got = [];
          for await (const event of watch(tenant, run, last)) got.push(event);
          return got;
        }""",
        [tenant.tenant_id, run, ""],
    )
    followed = await page.evaluate(
        """async ([tenant, run]) => {
          const {follow} = await import("/follow.js");
          const got = [];
          await new Promise((done) => follow(tenant, run, (event) => {
            got.push(event);
            if (event.id.startsWith("end-")) done();
          }));
          return got;
        }""",
        [tenant.tenant_id, run],
    )
    rest = await page.evaluate(
        """async ([tenant, run, ids]) => {
          const {watch} = await import("/watch.js");
          const counts = [];
          for (const id of ids) {
            let count = 0;
            for await (const event of watch(tenant, run, id)) count++;
            counts.push(count);
          }
          return counts;
        }""",
        [tenant.tenant_id, run, [event["id"] for event in watched]],
    )

    assert [watched[0]["event"], watched[-1]["event"], watched[-1]["run"]["status"]] == ["RUN", "RUN", "FAILED"]
    assert watched[0]["run"]["user_id"] == "alice@acme.example"
    assert [event["id"] for event in followed] == [event["id"] for event in watched]
    assert followed[1:] == watched[1:], "the run itself has ended meanwhile"
    assert rest == [*range(len(watched) - 1, -1, -1)]

    token = await page.evaluate("async () => (await import('/gateway.js')).token()")
    logs = [path.read_text() for path in tenant.suite.local.logs_dir.glob("*.log")]
    assert any(run in log for log in logs)
    assert not [log for log in logs if token in log]


async def test_errors_are_for_programs_and_for_people(page: Page, tenant: Tenant) -> None:
    script = """async ([method, path, body]) => {
      const {call} = await import("/gateway.js");
      try { await call(method, path, {body}); }
      catch ({status, reason, fields, retryAfter, requestId, message}) { return {status, reason, fields, retryAfter, requestId, message}; }
    }"""
    path = f"/api/v1/pipelines/runs/{tenant.tenant_id}"
    missing = await page.evaluate(script, ["GET", f"{path}/nothing", None])
    wrong = await page.evaluate(script, ["POST", f"/api/v1/pipelines/run/{tenant.tenant_id}/gcp/cost/billing", {"date": "soon"}])
    mistyped = await page.evaluate(script, ["GET", f"{path}?page_size=many", None])
    denied = await page.evaluate(script, ["GET", f"/api/v1/tenants/{tenant.tenant_id}/costs?start_date={DAY}&end_date={DAY}", None])
    method = await page.evaluate(script, ["DELETE", path, None])

    refusals = [missing, wrong, mistyped, denied, method]
    assert [(one["status"], one["reason"]) for one in refusals] == [
        (404, "RUN_NOT_FOUND"),
        (400, "BAD_FIELD"),
        (400, "BAD_FIELD"),
        (403, "SCOPE_MISSING"),
        (405, "METHOD_NOT_ALLOWED"),
    ]
    assert [one["fields"][0]["field"] for one in (wrong, mistyped)] == ["parameters.date", "page_size"]
    assert all(one["message"] and one["requestId"] and one["retryAfter"] is None for one in refusals)


async def test_what_waiting_helps_is_tried_again(page: Page, tenant: Tenant) -> None:
    """A limit that is free in a second, and one that is not."""
    script = """async ([path, seconds]) => {
      const {call} = await import("/gateway.js");
      const {patiently} = await import("/patience.js");
      return patiently(() => call("GET", path), seconds).then((page) => page.runs.length, (error) => error.retryAfter);
    }"""
    path = f"/api/v1/pipelines/runs/{tenant.tenant_id}"
    refused = list[Route]()

    async def refuse_once(route: Route) -> None:
        if refused or route.request.method == "OPTIONS":
            await route.fallback()
            return
        refused.append(route)
        allowed = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After", "Retry-After": "1"}
        await route.fulfill(status=429, headers=allowed, body='{"code": 8, "message": "Wait.", "details": []}')

    await page.route(f"{tenant.rest.url}{path}", refuse_once)
    assert isinstance(await page.evaluate(script, [path, 30]), int)
    assert len(refused) == 1
    refused.clear()
    assert await page.evaluate(script, [path, 0.5]) == 1


async def test_all_pages_of_a_list_and_the_dialect_of_its_entries(page: Page, tenant: Tenant) -> None:
    for _ in range(2):
        tenant.finished(tenant.start(DAY))
    runs = await page.evaluate(
        """async (path) => {
          const {entries} = await import("/pages.js");
          const got = [];
          for await (const run of entries(path, "runs", {page_size: 1})) got.push(run);
          return got;
        }""",
        f"/api/v1/pipelines/runs/{tenant.tenant_id}",
    )
    assert len(runs) == len({run["pipeline_logging_id"] for run in runs}) >= 2
    for run in runs:
        assert run["started_at"].endswith("Z")
        assert isinstance(run["attempt"], int)
        assert (run["steps"], "run_id" in run) == ([], False)
        assert isinstance(run.get("bytes_billed", "0"), str)
