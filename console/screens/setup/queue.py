"""The queue: scheduled runs, and why those that wait do."""

from starlette.responses import Response

from console.web.listing import pages
from console.web.screen import Visit

LIST = "/api/v1/tenants/{tenant_id}/scheduled-runs"
ONE = f"{LIST}/{{run_id}}"
STATES = ("PENDING", "COMPLETED", "FAILED")
ALL = "ALL"
"""In an address: of all states. Without a state, the queue shows what waits."""
EXPLAINED = 8
"""Of the runs on a page, those whose reason to wait is asked for when the page is there; that of others is a click away."""


async def show_queue(visit: Visit) -> Response:
    """A page of scheduled runs: those that wait, unless asked for others."""
    state = visit.query.get("state", "PENDING")
    filters = {"state": "" if state == ALL else state, "config_id": visit.query.get("config_id", "")}
    token = visit.query.get("page_token", "")
    answer = await visit.api.get(LIST, query={**filters, "page_token": token})
    return visit.page(
        "setup/queue.html",
        runs=answer["scheduled_runs"],
        explained=EXPLAINED,
        filters=filters,
        states=STATES,
        **pages("/setup/queue", {**filters, "state": filters["state"] or ALL}, token, answer),
        may_change=visit.session.may("schedules:write"),
    )


async def show_queued_run(visit: Visit) -> Response:
    """One scheduled run; for htmx only the reason why it waits."""
    one = await visit.api.get(ONE, visit.names)
    return visit.page(
        "setup/why.html" if visit.is_fragment else "setup/queued_run.html", one=one, may_change=visit.session.may("schedules:write")
    )


async def retry_queued_run(visit: Visit) -> Response:
    """Queues one that has failed for good again."""
    await visit.api.post(f"{ONE}:retry", visit.names)
    return visit.back_to(f"/setup/queue/{visit.names['run_id']}", good="It is queued again.")
