"""The list of runs."""

import asyncio

from starlette.responses import Response

from console.web.listing import pages
from console.web.screen import Visit

LIST = "/api/v1/pipelines/runs/{tenant_id}"
TEMPLATES = "/api/v1/pipelines/templates"
STATUSES = ("RUNNING", "COMPLETED", "FAILED", "CANCELLED")
FILTERS = ("status", "pipeline", "date")


async def show_runs(visit: Visit) -> Response:
    """A page of runs, newest first, by status, pipeline and day."""
    filters = {name: visit.query.get(name, "") for name in FILTERS}
    token = visit.query.get("page_token", "")
    answer, templates = await asyncio.gather(visit.api.get(LIST, query={**filters, "page_token": token}), visit.api.get(TEMPLATES))
    return visit.page(
        "runs/list.html",
        runs=answer["runs"],
        filters=filters,
        statuses=STATUSES,
        pipelines=[f"{one['provider']}/{one['domain']}/{one['template']}" for one in templates["templates"]],
        **pages("/runs", filters, token, answer),
    )
