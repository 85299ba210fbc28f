"""Credentials: how they fare, checking, trying and storing them."""

from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from console.gateway.errors import GatewayError
from console.screens.setup.credential_form import CLOUDS, FORMS, KEY, TARGETS, credentials_of, fields_of, shown_again
from console.web.screen import Visit
from console.web.wording import duration

LIST = "/api/v1/tenants/{tenant_id}/credentials"
ONE = f"{LIST}/{{provider}}"
PAGE = "/setup"


def rows_of(credentials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For the table: each with what can be done with it, and the one state that matters."""
    return [
        {
            **one,
            "is_cloud": one["provider"] in CLOUDS,
            "is_target": one["provider"] in TARGETS,
            "state": (one["access_status"] if one["provider"] in CLOUDS else one.get("delivery_status", "")) or "NOT_TRIED",
            "problem": one["access_problem"] or one.get("delivery_problem", ""),
        }
        for one in credentials
    ]


async def check_credentials(visit: Visit) -> Response:
    """Tries now what a run would do, and lists what was found. It takes some seconds."""
    found = await visit.api.post(f"{ONE}:check", visit.names, body={"export": visit.form.get("export", "")})
    return visit.page("setup/check.html", found=found)


async def try_notification(visit: Visit) -> Response:
    """Sends a test message."""
    found = await visit.api.post(f"{ONE}:test", visit.names)
    if found["status"] == "DELIVERED":
        return visit.back_to(PAGE, good=f"{found['message'] or 'Delivered.'} It took {duration(found['duration_ms'])}.")
    return visit.back_to(PAGE, bad=f"The test was not delivered ({found['status'].lower()}): {found['message']}")


async def show_credential_form(visit: Visit) -> Response:
    """The form for one provider."""
    return _form(visit, visit.query.get("way", KEY), {})


async def store_credentials(visit: Visit) -> Response:
    """Stores them. Secrets go to the gateway and nowhere else: after an error they have to be entered again."""
    way, provider = visit.form.get("way", KEY), visit.names["provider"]
    fields = fields_of(provider, way)
    if fields is None:
        return _form(visit, way, {})
    body = {"provider": provider, "credentials": credentials_of(fields, visit.form), "validate": "validate" in visit.form}
    try:
        answer = await visit.api.post(LIST, body=body)
    except GatewayError as error:
        if error.is_signed_out:
            raise
        return _form(visit, way, shown_again(fields, visit.form), error=error)
    return visit.back_to(PAGE, good=answer["message"])


async def delete_credentials(visit: Visit) -> Response:
    """Deletes them."""
    answer = await visit.api.delete(ONE, visit.names)
    return visit.back_to(PAGE, good=answer["message"])


def _form(visit: Visit, way: str, values: dict[str, str], *, error: GatewayError | None = None) -> Response:
    provider = visit.names["provider"]
    fields = fields_of(provider, way)
    if fields is None:
        raise GatewayError(status=HTTPStatus.NOT_FOUND, reason="PAGE_NOT_FOUND", message="There is no such provider.")
    return visit.page(
        "setup/credential_form.html",
        status=error.status if error else HTTPStatus.OK,
        provider=provider,
        way=way,
        ways=tuple(FORMS[provider]),
        is_cloud=provider in CLOUDS,
        fields=fields,
        values=values,
        error=error,
        retry_seconds=None,
    )
