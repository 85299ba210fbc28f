"""The first page of Set-up: quota, usage and credentials, each of which is shown even if the others cannot be."""

import asyncio

from starlette.responses import Response

from console.gateway.attempt import attempt
from console.screens.setup.credential_form import FORMS
from console.screens.setup.credentials import LIST, rows_of
from console.screens.setup.quota import limits_of, usage_bars
from console.web.screen import Visit

QUOTA, USAGE = "/api/v1/tenants/{tenant_id}/quota", "/api/v1/tenants/{tenant_id}/usage"


async def show_setup(visit: Visit) -> Response:
    """The page."""
    (quota, no_quota), (usage, no_usage), (stored, no_stored) = await asyncio.gather(
        attempt(visit.api.get(QUOTA)), attempt(visit.api.get(USAGE)), attempt(visit.api.get(LIST))
    )
    return visit.page(
        "setup/overview.html",
        quota=quota,
        limits=limits_of(quota) if quota else [],
        usage=usage,
        bars=usage_bars(usage["days"]) if usage else [],
        credentials=rows_of(stored["credentials"]) if stored else [],
        errors={"quota": no_quota, "usage": no_usage, "credentials": no_stored},
        providers=tuple(FORMS),
        may_change=visit.session.may("credentials:write"),
        retry_seconds=None,
    )
