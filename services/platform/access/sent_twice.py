"""Refuses calls that send a credential twice."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.platform.errors import InvalidArgument
from services.platform.rpc.calls import Call

CREDENTIALS = ("X-API-Key", "X-Admin-Key", "Authorization")


@asynccontextmanager
async def one_credential_each(call: Call) -> AsyncIterator[None]:
    """Raises InvalidArgument if a header with a credential is there more than once, even with the same value: a proxy in front of us may
    have looked at the first value, while we would use the last.
    """
    sent = Counter(name.lower() for name, _ in call.context.invocation_metadata() or ())
    for name in CREDENTIALS:
        if sent[name.lower()] > 1:
            raise InvalidArgument(name, "is sent more than once. Send this header once, with one value.")
    yield
