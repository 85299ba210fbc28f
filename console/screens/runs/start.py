"""Starting a run."""

import secrets
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from console.gateway.api import Json
from console.gateway.errors import GatewayError
from console.screens.runs.listing import TEMPLATES
from console.screens.runs.one_run import RUN
from console.screens.template_form import BadValue, body_of, form_of, template_named
from console.web.screen import Visit

VALIDATE = "/api/v1/pipelines/validate/{tenant_id}/{provider}/{domain}/{template}"


async def choose_template(visit: Visit) -> Response:
    """The templates."""
    return visit.page("runs/choose.html", templates=(await visit.api.get(TEMPLATES))["templates"])


async def show_form(visit: Visit) -> Response:
    """The form of one template."""
    return _form(visit, template_named(await visit.api.get(TEMPLATES), visit.names))


async def start_run(visit: Visit) -> Response:
    """Starts the run, or says what it would read and cost. What is wrong is said beside the form, which keeps what was typed."""
    template = template_named(await visit.api.get(TEMPLATES), visit.names)
    try:
        body = body_of(template, visit.form)
        if visit.form.get("action") == "check":
            return _form(visit, template, preview=await visit.api.post(VALIDATE, visit.names, body=body))
        started = await visit.api.post(RUN, visit.names, body=body, idempotency_key=visit.form.get("idempotency_key", ""))
    except BadValue as bad:
        error = GatewayError(status=HTTPStatus.BAD_REQUEST, reason="BAD_FIELD", message=str(bad))
        return _form(visit, template, error=error)
    except GatewayError as error:
        if error.is_signed_out:
            raise
        return _form(visit, template, error=error)
    return visit.back_to(f"/runs/{started['pipeline_logging_id']}", good="The run has started.")


def _form(visit: Visit, template: Json, *, error: GatewayError | None = None, **context: Any) -> Response:
    return visit.page(
        "runs/start.html",
        status=error.status if error else HTTPStatus.OK,
        template=template,
        name="/".join(visit.names[part] for part in ("provider", "domain", "template")),
        form=form_of(template, visit.form),
        may_run=visit.session.may("pipelines:run"),
        # The same form sent twice starts one run; a form with another content has another key.
        idempotency_key=visit.form.get("idempotency_key") if error and error.is_passing else secrets.token_urlsafe(16),
        error=error,
        retry_seconds=None,
        **{"preview": None, **context},
    )
