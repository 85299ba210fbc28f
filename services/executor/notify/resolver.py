"""Looks names up without holding up anything else."""

import asyncio
import contextlib
import socket
import threading


async def look_up(name: str, port: int) -> list[str]:
    """The name's addresses, in the order in which to try them. Raises OSError, UnicodeError.

    In a thread of its own, which nobody waits for: a resolver that hangs takes no thread that runs may need, and does not hold up the
    process's end. As many threads may hang as deliveries are tried at once within the resolver's own time limit (some 10 s).
    """
    loop = asyncio.get_running_loop()
    answer = loop.create_future()

    def settle(addresses: list[str] | None, error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(addresses)

    def ask() -> None:
        addresses, failure = None, None
        try:
            addresses = [str(address[0]) for *_, address in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError) as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, addresses, failure)

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    found: list[str] = await answer
    return found
