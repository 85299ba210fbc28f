"""`Idempotency-Key`: the same key of a tenant creates one thing of a kind within 24 hours, however often and wherever it is sent.

Its id = UUIDv5(tenant, n, key), where n counts the 24 h windows in which the key was used. So all calls with the key ask for the same id,
and whatever creates it creates it once.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import grpc

from services.platform.errors import FailedPrecondition, InvalidArgument

HEADER: Final = "Idempotency-Key"
WINDOW = timedelta(hours=24)
LENGTH = 255
LOOKUP_PAGE = 32
"""Ids that are looked up at once; a key is rarely used in so many windows."""

type Find = Callable[[Sequence[str]], Awaitable[Mapping[str, datetime]]]
"""Which of these ids exist, and since when."""


def key_of(context: grpc.aio.ServicerContext[Any, Any]) -> str | None:
    """The call's key; None if it has none. Raises InvalidArgument if it is too long or not printable."""
    given = [value for name, value in context.invocation_metadata() or () if name == HEADER.lower()]
    if not given:
        return None
    key = given[-1]
    if not isinstance(key, str) or not 0 < len(key) <= LENGTH or not key.isprintable():
        raise InvalidArgument(HEADER, f"use 1 to {LENGTH} printable characters, e.g. a UUID.")
    return key


def key_ids(kind: UUID, tenant_id: str, key: str, first: int = 0) -> Sequence[str]:
    """A page of the ids that the key means, from window number `first` (from 0) on. `kind`: the namespace of what is created."""
    return [str(uuid5(kind, f"{tenant_id}|{use}|{key}")) for use in range(first, first + LOOKUP_PAGE)]


async def id_now(kind: UUID, tenant_id: str, key: str, *, find: Find, now: datetime) -> tuple[str, bool]:
    """The id that the key means at `now`, and whether it is new: nothing has it yet."""
    first = 0
    while True:
        ids = key_ids(kind, tenant_id, key, first)
        known = await find(ids)
        if ids[-1] not in known:
            break
        first += LOOKUP_PAGE
    used = [one for one in ids if one in known]
    if used and now - known[used[-1]] < WINDOW:
        return used[-1], False
    return ids[len(used)], True


def key_reused(what: str) -> FailedPrecondition:
    """The error of a call whose key was used for another request. `what` differs, e.g. `another pipeline or other parameters`."""
    return FailedPrecondition(
        "IDEMPOTENCY_KEY_REUSED", f"{HEADER}: it was used for {what} in the last 24 hours. Use a new key.", metadata={"field": HEADER}
    )
