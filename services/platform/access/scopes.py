"""What an API key may do."""

from collections.abc import Collection
from typing import Final

SCOPES: Final = ("credentials:write", "pipelines:run", "runs:read", "schedules:write")
"""All that a key may be issued with."""
DEFAULT_SCOPES: Final = frozenset({"credentials:write", "pipelines:run", "runs:read", "schedules:write"})
"""What a key without scopes may do. The subscription system writes keys without any, and the documented flows have to work with them: so
these are the four that the flows need, written out. A scope that is invented later is never implied.
"""


def may(scope: str, scopes: Collection[str]) -> bool:
    """Whether a key that was issued with `scopes` may do what needs `scope`; an empty `scope` is for every key."""
    return not scope or scope in (scopes or DEFAULT_SCOPES)
