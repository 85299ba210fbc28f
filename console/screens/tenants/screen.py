"""The screen."""

from console.screens.tenants.pages import offboard, resume, show_tenant, show_tenants, suspend
from console.web.screen import Screen, get, post
from console.web.session import Audience

TENANTS = Screen(
    name="tenants",
    title="Tenants",
    path="/tenants",
    audience=Audience.OPERATOR,
    endpoints=(
        get("/tenants", show_tenants),
        get("/tenants/{tenant_id}", show_tenant),
        post("/tenants/{tenant_id}/suspend", suspend),
        post("/tenants/{tenant_id}/resume", resume),
        post("/tenants/{tenant_id}/offboard", offboard),
    ),
)
