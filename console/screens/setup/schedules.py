"""Schedules: the list, one with its next times, new ones."""

import secrets
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from console.gateway.api import Json
from console.gateway.errors import GatewayError
from console.screens.template_form import BadValue, body_of, form_of, template_named
from console.web.screen import Visit

LIST = "/api/v1/tenants/{tenant_id}/schedules"
ONE = f"{LIST}/{{config_id}}"
TEMPLATES = "/api/v1/pipelines/templates"
PAGE = "/setup/schedules"
NUMBERS = ("priority", "max_retries")


async def show_schedules(visit: Visit) -> Response:
    """A page of them, by pipeline."""
    answer = await visit.api.get(LIST, query={"page_token": visit.query.get("page_token", "")})
    return visit.page(
        "setup/schedules.html",
        schedules=answer["schedules"],
        next_token=answer["next_page_token"],
        is_first="page_token" not in visit.query,
        may_change=visit.session.may("schedules:write"),
    )


async def show_schedule(visit: Visit) -> Response:
    """One, with its next five times."""
    one = await visit.api.get(ONE, visit.names)
    return visit.page("setup/schedule.html", one=one, may_change=visit.session.may("schedules:write"))


async def pause_schedule(visit: Visit) -> Response:
    """Pauses it, or lets it go on."""
    is_active = visit.form.get("is_active") == "true"
    await visit.api.patch(ONE, visit.names, body={"is_active": is_active})
    said = "The schedule fires again." if is_active else "The schedule is paused, and so are its queued runs."
    return visit.back_to(f"{PAGE}/{visit.names['config_id']}", good=said)


async def delete_schedule(visit: Visit) -> Response:
    """Deletes it."""
    await visit.api.delete(ONE, visit.names)
    return visit.back_to(PAGE, good="The schedule is deleted. Its queued runs end; runs that had begun go on.")


async def backfill_schedule(visit: Visit) -> Response:
    """Queues a run for each day of a range."""
    body = {name: visit.form.get(name, "") for name in ("start_date", "end_date")}
    answer = await visit.api.post(f"{ONE}:backfill", visit.names, body=body)
    said = f"{answer['enqueued_count']} days are queued; {answer['skipped_count']} were before."
    return visit.back_to("/setup/queue", good=said)


async def choose_template(visit: Visit) -> Response:
    """For which pipeline?"""
    return visit.page("setup/schedule_choose.html", templates=(await visit.api.get(TEMPLATES))["templates"])


async def show_schedule_form(visit: Visit) -> Response:
    """The form for a new one."""
    return _form(visit, template_named(await visit.api.get(TEMPLATES), visit.names))


async def create_schedule(visit: Visit) -> Response:
    """Creates it. What is wrong is said beside the form, which keeps what was typed."""
    template = template_named(await visit.api.get(TEMPLATES), visit.names)
    try:
        one = await visit.api.post(LIST, body=_body(template, visit), idempotency_key=visit.form.get("idempotency_key", ""))
    except BadValue as bad:
        return _form(visit, template, GatewayError(status=HTTPStatus.BAD_REQUEST, reason="BAD_FIELD", message=str(bad)))
    except GatewayError as error:
        if error.is_signed_out:
            raise
        return _form(visit, template, error)
    return visit.back_to(f"{PAGE}/{one['config_id']}", good="The schedule is there. These are its next times.")


def _body(template: Json, visit: Visit) -> dict[str, Any]:
    numbers = {name: text for name in NUMBERS if (text := visit.form.get(name, ""))}
    for name, text in numbers.items():
        if not text.isdecimal():
            raise BadValue(f"{name}: give a whole number.")
    return {
        "provider": template["provider"],
        "domain": template["domain"],
        "pipeline_template": template["template"],
        "schedule_cron": visit.form.get("schedule_cron", ""),
        "timezone": visit.form.get("timezone", ""),
        "parameters": body_of(template, visit.form),
        **{name: int(text) for name, text in numbers.items()},
    }


def _form(visit: Visit, template: Json, error: GatewayError | None = None) -> Response:
    return visit.page(
        "setup/schedule_form.html",
        status=error.status if error else HTTPStatus.OK,
        name="/".join(visit.names[part] for part in ("provider", "domain", "template")),
        form=form_of(template, visit.form, is_scheduled=True),
        values={name: visit.form.get(name, "") for name in ("schedule_cron", "timezone", *NUMBERS)},
        idempotency_key=visit.form.get("idempotency_key") if error and error.is_passing else secrets.token_urlsafe(16),
        may_change=visit.session.may("schedules:write"),
        error=error,
        retry_seconds=None,
    )
