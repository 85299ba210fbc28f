"""The baseline of all comparisons: one bare statement at a time, sent as the services send theirs."""

import time
from dataclasses import dataclass
from statistics import median

from benchmarks.place import Place

TIMES = 15
_UPDATE = "UPDATE tenant_profiles SET status = 'ACTIVE' WHERE tenant_id = @tenant_id AND status = 'ACTIVE'"
_SELECT = "SELECT 1 AS one FROM tenant_profiles LIMIT 1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """Medians, in seconds."""

    update: float
    """A guarded UPDATE of one row."""
    select: float


async def measure_floor(place: Place) -> Floor:
    """Both floors, on a table of a few rows."""
    tenants = await place.tenants()
    updates, selects = list[float](), list[float]()
    for _ in range(TIMES):
        began = time.monotonic()
        await place.run("floor_update", _UPDATE, tenant_id=("STRING", tenants[0]))
        updates.append(time.monotonic() - began)
        began = time.monotonic()
        await place.run("floor_select", _SELECT)
        selects.append(time.monotonic() - began)
    return Floor(update=median(updates), select=median(selects))
