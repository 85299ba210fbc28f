"""How many requests are generated, and how."""

from hypothesis import HealthCheck, Phase, settings

from tests.support.attacks import GENERATED, THOROUGH
from tests.support.attacks.rpcs import Rpc

ONCE = settings(
    derandomize=not THOROUGH,
    database=None,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
"""The same requests each time, or by the seed that pytest is given."""


def how_many(rpc: Rpc, rpcs: int, *, few: int) -> int:
    """This RPC's share of half of what is generated: the other half comes another way. A tenth of it for an RPC that has no fields."""
    each = max(1, GENERATED // 2 // rpcs) if THOROUGH else few
    return each if rpc.fields else max(1, each // 10)
