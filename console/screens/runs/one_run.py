"""One run: its page and what can be done with it."""

import secrets
from typing import Any

from starlette.responses import Response

from console.gateway.api import Json
from console.screens.runs.timeline import failed_checks, timeline
from console.web.pages import utc_now
from console.web.screen import Visit
from console.web.session import Session
from console.web.wording import pipeline, short

GET = "/api/v1/pipelines/runs/{tenant_id}/{pipeline_logging_id}"
RUN = "/api/v1/pipelines/run/{tenant_id}/{provider}/{domain}/{template}"
RETRY = "/api/v1/tenants/{tenant_id}/scheduled-runs/{run_id}:retry"


async def show_run(visit: Visit) -> Response:
    """The run with its steps and checks; while it runs, the page follows it."""
    run = await visit.api.get(GET, visit.names)
    return visit.page("runs/run.html", **context_of(run, visit.session))


async def cancel_run(visit: Visit) -> Response:
    """Cancels it."""
    await visit.api.post(f"{GET}:cancel", visit.names)
    return visit.back_to(_page(visit), good="The run is cancelled. It publishes nothing more.")


async def run_again(visit: Visit) -> Response:
    """Starts another run with the parameters of this one."""
    run = await visit.api.get(GET, visit.names)
    key = visit.form.get("idempotency_key", "")
    started = await visit.api.post(RUN, template_of(run), body=run["parameters"], idempotency_key=key)
    good = f"Started with the parameters of {short(run['pipeline_logging_id'])}."
    return visit.back_to(f"/runs/{started['pipeline_logging_id']}", good=good)


async def queue_again(visit: Visit) -> Response:
    """Queues the scheduled run, of which this was an attempt, again."""
    run = await visit.api.get(GET, visit.names)
    await visit.api.post(RETRY, {"run_id": run["run_id"]})
    return visit.back_to(_page(visit), good="It is queued again, and begins when its turn comes. Set-up shows the queue.")


def context_of(run: Json, session: Session) -> dict[str, Any]:
    """What the templates of a run need."""
    is_live = run["status"] == "RUNNING"
    may_run = session.may("pipelines:run")
    return {
        "run": run,
        "name": pipeline(run["pipeline_id"], session.tenant_id),
        "lines": timeline(run, utc_now()),
        "failed": failed_checks(run["dq_results"]),
        "passed": [one for one in run["dq_results"] if one["status"] == "PASSED"],
        # Pressing the button twice starts one run.
        "idempotency_key": secrets.token_urlsafe(16),
        "is_live": is_live,
        "may_cancel": is_live and may_run,
        "may_run_again": not is_live and may_run,
        "may_queue_again": run["status"] == "FAILED" and bool(run.get("run_id")) and session.may("schedules:write"),
    }


def template_of(run: Json) -> dict[str, str]:
    """The parts of the template's address, from `{tenant_id}-gcp-cost-billing`."""
    provider, domain, template = pipeline(run["pipeline_id"], run["tenant_id"]).split("/", 2)
    return {"provider": provider, "domain": domain, "template": template}


def _page(visit: Visit) -> str:
    return f"/runs/{visit.names['pipeline_logging_id']}"
