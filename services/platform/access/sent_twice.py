"""Refuses calls that send a credential twice."""

from collections.abc import Awaitable
from typing import Any

from services.platform.errors import InvalidArgument
from services.platform.rpc.calls import Call, Rpc, Step

CREDENTIALS = {name.lower(): name for name in ("X-API-Key", "X-Admin-Key", "Authorization")}


def one_credential_each(_: Rpc, proceed: Step) -> Step:
    """The interceptor. A call raises InvalidArgument if a header with a credential is there more than once, even with the same value: a
    proxy in front of us may have looked at the first value, while we would use the last.
    """

    def checked(call: Call) -> Awaitable[Any]:
        for lower, name in CREDENTIALS.items():
            if lower in call.repeated:
                raise InvalidArgument(name, "is sent more than once. Send this header once, with one value.")
        return proceed(call)

    return checked
