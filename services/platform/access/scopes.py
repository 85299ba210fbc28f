"""The scopes of API keys."""

from collections.abc import Collection
from typing import Final

SCOPES: Final = ("audit:read", "costs:read", "costs:write", "credentials:write", "pipelines:run", "runs:read", "schedules:write")
"""All scopes that a key can have."""
DEFAULT_SCOPES: Final = frozenset({"credentials:write", "pipelines:run", "runs:read", "schedules:write"})
"""The scopes of a key that was stored without any. The subscription system stores keys without scopes, and the documented flows must work
with them; so these are the four scopes that the flows need, listed. A scope that is added later is never part of the default.
"""


def may(scope: str, scopes: Collection[str]) -> bool:
    """True if a key with these `scopes` may make calls that need `scope`. An empty `scope` is open to every key."""
    return not scope or scope in (scopes or DEFAULT_SCOPES)
