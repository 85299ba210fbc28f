"""Posts to a target over https, with a guard against addresses inside our network.

The guard is in the function that opens sockets, so nothing bypasses it: it resolves the name, judges all its addresses and connects to one
of exactly these (no DNS rebinding). TLS and the Host header still use the name.
"""

import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpcore

from services.executor.notify.resolver import look_up
from services.executor.notify.responses import Attempt, NotDelivered, judge_response
from services.platform.clock import Clock

HTTPS = 443
CONNECT_SECONDS = 3.0
"""Connect timeout for each address; one of a name's addresses may not answer."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
ADDRESSES = 4
"""How many of a name's addresses are tried; all are judged."""

type Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Returns a name's addresses. Raises OSError, UnicodeError."""


class AddressRefused(Exception):
    """The name resolves to an address that is not public."""


class Guard(httpcore.AsyncNetworkBackend):
    """Opens connections only to names whose addresses are all `allowed`."""

    def __init__(self, allowed: Callable[[str], bool], resolve: Resolve = look_up) -> None:
        self._allowed, self._resolve = allowed, resolve
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises AddressRefused, httpcore.ConnectError, httpcore.ConnectTimeout."""
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError from error
        if not all(self._allowed(address) for address in addresses):
            raise AddressRefused
        failure: Exception = httpcore.ConnectError()
        for address in addresses[:ADDRESSES]:
            try:
                return await self._inner.connect_tcp(address, port, timeout=CONNECT_SECONDS)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class Poster:
    """Sends one request on a connection of its own; reads status and headers of the response (httpcore: 100 KiB at most)."""

    def __init__(
        self, guard: Guard, tls: ssl.SSLContext, clock: Clock, *, ports: Collection[int] | None = None, allow_plain: bool = False
    ) -> None:
        """`tls` must belong to this poster alone: its ALPN is restricted to HTTP/1.1. `ports`: those that are called; None: any.
        `allow_plain`: http to this machine, too, on a laptop.
        """
        self._guard, self._tls, self._clock, self._ports, self._allow_plain = guard, tls, clock, ports, allow_plain

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], attempt: Attempt | None = None) -> str:
        """Returns the target's host once it has answered 2xx; its status gets into `attempt`. Raises NotDelivered. The caller sets the
        timeout.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_plain = self._allow_plain and parts.scheme == "http" and host in LOOPBACK
        if not (parts.scheme == "https" or is_plain) or not host or "@" in parts.netloc:
            raise NotDelivered("not_https", again=False, host=host)
        if self._ports is not None and (HTTPS if parts.port is None else parts.port) not in self._ports:
            raise NotDelivered("port_refused", again=False, host=host)
        sent = {"content-type": "application/json", "user-agent": "convergence", **headers}
        try:
            async with (
                httpcore.AsyncConnectionPool(ssl_context=self._tls, network_backend=self._guard, max_connections=1) as pool,
                pool.stream("POST", url, headers=list(sent.items()), content=body) as answer,
            ):
                known = {name.lower(): value for name, value in answer.headers}
                after = known.get(b"retry-after", b"").decode("ascii", "replace")
                if attempt:
                    attempt.http_status = answer.status
                failure = judge_response(answer.status, after, now=self._clock.now())
        except AddressRefused:
            raise NotDelivered("address_refused", again=False, host=host) from None
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            # `from None`: the library's text may contain the URL, which is a secret.
            raise NotDelivered(type(error).__name__, again=True, host=host) from None
        if failure is not None:
            failure.host = host
            raise failure
        return host
