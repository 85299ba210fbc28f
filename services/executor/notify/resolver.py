"""DNS look-ups that do not block other work."""

import asyncio
import contextlib
import socket
import threading


async def look_up(name: str, port: int) -> list[str]:
    """The name's addresses, in the order to try them. Raises OSError, UnicodeError.

    Runs in a daemon thread of its own: a hanging resolver blocks no thread that runs need, nor the end of the process. The number of
    hanging threads is bounded by the deliveries tried within the resolver's own timeout (some 10 s).
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
        with contextlib.suppress(RuntimeError):  # the loop is closed: no caller is left
            loop.call_soon_threadsafe(settle, addresses, failure)

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    found: list[str] = await answer
    return found
