"""`make bench-console`: opens the console's lists with much and with nothing in them; see `benchmarks/CONSOLE.md`."""

import argparse
import asyncio
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlencode

from playwright.async_api import Browser, Page

from benchmarks.console.report import report
from benchmarks.console.rows import fill_fleet, fill_tenant
from benchmarks.console.visits import WATCH, Listed, Times, visit
from benchmarks.crowd import new_crowd, settle_in
from benchmarks.whole_stack import PARTS, WholeStack, whole_stack
from console.screens.costs.question import ranges_of
from localcloud.rest import Rest
from tests.support.browser import Desk, at_desk, running_browser

VISITS = 6
SCOPES = ["costs:read", "credentials:write", "pipelines:run", "runs:read", "schedules:write"]
LATE_PAGE = 45
"""Of 200 entries each: near the end of 10,000."""


def main() -> None:
    """Prints the report and writes it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visits", type=int, default=VISITS, help="of each page")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "CONSOLE.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, whole_stack(Path(folder), parts=(*PARTS, "console")) as whole:
        text = asyncio.run(measure(whole, options.visits))
    options.output.write_text(text)
    print(text)


async def measure(whole: WholeStack, visits: int) -> str:
    """The report."""
    crowd = new_crowd(2, plans=[({}, 0)])
    full, empty = (member.tenant_id for member in crowd)
    await settle_in(crowd, whole.settings)
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(running_browser())
        at = {name: await stack.enter_async_context(_signed_in(browser, whole, name)) for name in (full, empty, "")}
        _say("an installation with nothing in it")
        nothing = {name: await _listed(at[""].page, at[""].url, name, path, visits) for name, path in _operator_pages(whole).items()}
        _say("filling")
        await fill_tenant(full, whole.settings)
        await fill_fleet(whole.settings)
        much = []
        for name, (path, plain) in _tenant_pages(whole, full).items():
            # In turn, so that what else the machine does concerns both alike.
            found = defaultdict[str, list[Times]](list)
            for _ in range(visits):
                found[full].append(await visit(at[full].page, f"{at[full].url}{path}"))
                found[empty].append(await visit(at[empty].page, f"{at[empty].url}{plain}"))
            nothing[name] = Listed(name=name, visits=found[empty])
            much.append(Listed(name=name, visits=found[full]))
            _say(name)
        much += [await _listed(at[""].page, at[""].url, name, path, visits) for name, path in _operator_pages(whole).items()]
    return report(much, nothing)


async def _listed(page: Page, url: str, name: str, path: str, visits: int) -> Listed:
    found = Listed(name=name, visits=[await visit(page, f"{url}{path}") for _ in range(visits)])
    _say(name)
    return found


@asynccontextmanager
async def _signed_in(browser: Browser, whole: WholeStack, tenant_id: str) -> AsyncIterator[Desk]:
    """A window of the tenant; empty: of an operator."""
    async with at_desk(browser, f"http://{whole.local.address('console')}") as desk:
        await desk.context.add_init_script(WATCH)
        if tenant_id:
            issued = whole.admin.call("POST", f"/api/v1/tenants/{tenant_id}/api-keys", {"scopes": SCOPES})
            await desk.sign_in(issued.body["api_key"])
        else:
            await desk.sign_in_as_operator(whole.stack.env["ADMIN_API_KEY"])
        await desk.page.get_by_role("button", name="Sign out").wait_for()
        yield desk


def _tenant_pages(whole: WholeStack, tenant_id: str) -> dict[str, tuple[str, str]]:
    """Paths for the tenant that has much, and for the one that has nothing."""
    issued = whole.admin.call("POST", f"/api/v1/tenants/{tenant_id}/api-keys", {"scopes": SCOPES})
    rest = Rest(url=whole.admin.url, headers={"X-API-Key": issued.body["api_key"]})
    late = _late(rest, f"/api/v1/pipelines/runs/{tenant_id}")
    today = datetime.now(UTC).date()
    pages = {
        "Runs, first page": ("/runs", "/runs"),
        "Runs, a late page": (f"/runs?page_token={late}", "/runs"),
        "Runs, of one pipeline that failed": 2 * ("/runs?status=FAILED&pipeline=gcp%2Fcost%2Fbilling",),
    }
    for name, start, end in ranges_of(today):
        if name in {"30 days", "12 months", "3 years"}:
            path = f"/costs?{urlencode({'start': start, 'end': end, 'group': 'service'})}"
            pages[f"Costs, {name} by service"] = (path, path)
    path = f"/costs?{urlencode({'start': _year_before(today), 'end': today, 'group': 'service', 'granularity': 'day'})}"
    return {**pages, "Costs, a year by service and day": (path, path)}


def _operator_pages(whole: WholeStack) -> dict[str, str]:
    return {
        "Tenants, first page": "/tenants",
        "Tenants, a late page": f"/tenants?page_token={_late(whole.admin, '/api/v1/tenants')}",
        "Tenants, a search": "/tenants?search=company+19",
        "Fleet": "/fleet",
        "Fleet, runs": "/fleet/runs",
        "Fleet, a late page of runs": f"/fleet/runs?page_token={_late(whole.admin, '/api/v1/runs')}",
    }


def _late(rest: Rest, path: str) -> str:
    """The token of a late page, or of the last one that there is; empty: there is one page."""
    token = ""
    for _ in range(LATE_PAGE):
        body: Mapping[str, str] = rest.call("GET", f"{path}?{urlencode({'page_size': 200, 'page_token': token})}").body
        if not body["next_page_token"]:
            break
        token = body["next_page_token"]
    return token


def _year_before(day: date) -> date:
    return day.replace(year=day.year - 1, day=min(day.day, 28))


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
