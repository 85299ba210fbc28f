"""The screen and its pages."""

import asyncio

from starlette.responses import Response

from console.gateway.api import Json
from console.gateway.attempt import attempt
from console.gateway.errors import GatewayError
from console.screens.fleet.verdict import verdicts_of
from console.web.listing import pages
from console.web.pages import utc_now
from console.web.screen import Screen, Visit, get
from console.web.session import Audience

FLEET_NOW = "/api/v1/fleet"
USAGE = "/api/v1/usage"
RUNS = "/api/v1/runs"
STATUSES = ("RUNNING", "COMPLETED", "FAILED", "CANCELLED")
FILTERS = ("status", "tenant_id", "pipeline", "date")


async def show_fleet(visit: Visit) -> Response:
    """The queue, the jobs, lost leases, budgets, dollars, and what has failed lately."""
    now = utc_now()
    today = now.date().isoformat()
    fleet, day, month, failed = await asyncio.gather(
        _part(visit, FLEET_NOW),
        _part(visit, USAGE, start_date=today, end_date=today, page_size="1"),
        _part(visit, USAGE, page_size="5"),
        _part(visit, RUNS, status="FAILED", page_size="10"),
    )
    found, trouble = fleet
    return visit.page(
        "fleet/fleet.html",
        fleet=found,
        fleet_error=trouble,
        verdicts=verdicts_of(found, now) if found else [],
        day=day[0],
        month=month[0],
        usage_error=month[1],
        runs=(failed[0] or {}).get("runs", []),
        runs_error=failed[1],
    )


async def show_all_runs(visit: Visit) -> Response:
    """Runs of all tenants."""
    filters = {name: visit.query.get(name, "") for name in FILTERS}
    token = visit.query.get("page_token", "")
    unknown = ""
    try:
        answer = await visit.api.get(RUNS, query={**filters, "page_token": token})
    except GatewayError as error:
        if error.reason != "TENANT_NOT_FOUND":
            raise
        # Mistyped, most likely: the filters stay, to be corrected.
        answer, unknown = {"runs": [], "next_page_token": ""}, f"There is no tenant {filters['tenant_id']}"
    return visit.page(
        "fleet/runs.html",
        runs=answer["runs"],
        unknown=unknown,
        filters=filters,
        statuses=STATUSES,
        **pages("/fleet/runs", filters, token, answer),
    )


async def _part(visit: Visit, path: str, **query: str) -> tuple[Json | None, GatewayError | None]:
    """One part of the page, or why it cannot be shown: an operator's role may not reach all of them."""
    return await attempt(visit.api.get(path, query=query), also_passing=True)


FLEET = Screen(
    name="fleet",
    title="Fleet",
    path="/fleet",
    audience=Audience.OPERATOR,
    endpoints=(get("/fleet", show_fleet), get("/fleet/runs", show_all_runs)),
)
