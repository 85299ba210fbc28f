"""Calls whose answer a page can do without."""

from collections.abc import Awaitable

from console.gateway.errors import GatewayError


async def attempt[Answer](call: Awaitable[Answer], *, also_passing: bool = False) -> tuple[Answer | None, GatewayError | None]:
    """The answer, or why there is none. Raises GatewayError if the session has ended and, unless `also_passing`, if the same call may work
    in a moment, so that the whole page asks again.
    """
    try:
        return await call, None
    except GatewayError as error:
        if error.is_signed_out or (error.is_passing and not also_passing):
            raise
        return None, error
