"""The list of tenants, and one tenant with what its operator may do."""

import asyncio

from starlette.responses import Response

from console.gateway.api import Json
from console.gateway.attempt import attempt
from console.gateway.errors import GatewayError
from console.screens.tenants.health import health_of, limits_of
from console.web.listing import pages
from console.web.pages import utc_now
from console.web.screen import Visit

LIST = "/api/v1/tenants"
ONE = "/api/v1/tenants/{tenant_id}"
RUNS = "/api/v1/runs"
STATUSES = ("ACTIVE", "INACTIVE", "SUSPENDED", "OFFBOARDED")
FILTERS = ("search", "status")


async def show_tenants(visit: Visit) -> Response:
    """A page of tenants."""
    filters = {name: visit.query.get(name, "") for name in FILTERS}
    token = visit.query.get("page_token", "")
    answer = await visit.api.get(LIST, query={**filters, "page_token": token})
    now = utc_now()
    return visit.page(
        "tenants/list.html",
        rows=[(one, health_of(one, now)) for one in answer["tenants"]],
        filters=filters,
        statuses=STATUSES,
        **pages("/tenants", filters, token, answer),
    )


async def show_tenant(visit: Visit) -> Response:
    """One tenant: its plan, keys and runs."""
    tenant, keys, runs = await asyncio.gather(
        visit.api.get(ONE, visit.names), visit.api.get(f"{ONE}/api-keys", visit.names), _runs_of(visit, visit.names["tenant_id"])
    )
    found, trouble = runs
    return visit.page(
        "tenants/tenant.html",
        tenant=tenant,
        limits=limits_of(tenant),
        keys=keys["api_keys"],
        runs=found,
        error=trouble,
        retry_seconds=None,
    )


async def suspend(visit: Visit) -> Response:
    """Refuses the tenant's calls until it is resumed."""
    await visit.api.post(f"{ONE}:suspend", visit.names)
    return visit.back_to(_page(visit), good="The tenant is suspended: its calls are refused, and no new run starts.")


async def resume(visit: Visit) -> Response:
    """Ends a suspension."""
    await visit.api.post(f"{ONE}:resume", visit.names)
    return visit.back_to(_page(visit), good="The tenant is active again.")


async def offboard(visit: Visit) -> Response:
    """Ends the tenant for good. The form asks for its id once more, which the API compares."""
    body = {"confirm": visit.form.get("confirm", ""), "dataset": visit.form.get("dataset", "")}
    proof = await visit.api.post(f"{ONE}:offboard", visit.names, body=body)
    done = (
        f"{proof['keys_revoked']} keys revoked, {proof['schedules_stopped']} schedules stopped, {proof['runs_dropped']} queued runs "
        f"dropped; credentials destroyed: {', '.join(proof['credentials_destroyed']) or 'none'}; dataset: {proof['dataset'].lower()}."
    )
    return visit.back_to(_page(visit), good=f"The tenant is offboarded. {done}")


async def _runs_of(visit: Visit, tenant_id: str) -> tuple[list[Json], GatewayError | None]:
    """Its last runs, or why they cannot be shown: the rest of the page does not need them."""
    answer, error = await attempt(visit.api.get(RUNS, query={"tenant_id": tenant_id, "page_size": 20}), also_passing=True)
    return list(answer["runs"]) if answer else [], error


def _page(visit: Visit) -> str:
    return f"/tenants/{visit.names['tenant_id']}"
