"""The screen."""

from console.screens.costs.page import show_changes, show_costs
from console.web.screen import Screen, get
from console.web.session import Audience

COSTS = Screen(
    name="costs",
    title="Costs",
    path="/costs",
    audience=Audience.TENANT,
    scope="costs:read",
    endpoints=(get("/costs", show_costs), get("/costs/changes", show_changes)),
)
