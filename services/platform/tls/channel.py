"""A channel to a peer that goes on with new certificates, which gRPC's own does not, and that can be connected anew."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, override

import grpc

from services.platform.periodic import Periodic
from services.platform.tls.files import TlsFiles
from services.platform.tls.watch import TlsWatch

type Connect = Callable[[TlsFiles], grpc.aio.Channel]

ANEW_SECONDS: Final = 5.0
"""A channel younger than this is not replaced by `connect_anew`."""


class _Line:
    """A channel made with one set of files, and its open calls."""

    def __init__(self, files: TlsFiles, channel: grpc.aio.Channel) -> None:
        self.files, self.channel = files, channel
        self.calls = set[Any]()
        self.made_at = time.monotonic()


class RenewingChannel(grpc.aio.Channel):  # type: ignore[misc]  # untyped upstream
    """While its context is open, reads the files every `seconds`. A call uses the newest of them. Calls that are open when they change
    end on the channel on which they began; it is closed after the last one.
    """

    def __init__(self, watch: TlsWatch, connect: Connect, *, seconds: float) -> None:
        self._watch, self._connect = watch, connect
        self._line = _Line(watch.current, connect(watch.current))
        self._retired = set[_Line]()
        self._closing = set[asyncio.Task[None]]()
        self._reading = Periodic("certificates", (watch.refresh, seconds))

    @override
    async def __aenter__(self) -> Self:
        await self._reading.__aenter__()
        return self

    @override
    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._reading.__aexit__(kind, error, trace)
        await self.close()

    @override
    async def close(self, grace: float | None = None) -> None:
        """Ends all calls, after `grace` seconds if given."""
        await asyncio.gather(*(line.channel.close(grace) for line in (self._line, *self._retired)), *self._closing)

    @override
    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._newest().channel.get_state(try_to_connect)

    @override
    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._newest().channel.wait_for_state_change(last_observed_state)

    @override
    async def channel_ready(self) -> None:
        await self._newest().channel.channel_ready()

    @override
    def unary_unary(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        return self._rpc("unary_unary", args, kwargs)

    @override
    def unary_stream(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        return self._rpc("unary_stream", args, kwargs)

    @override
    def stream_unary(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        return self._rpc("stream_unary", args, kwargs)

    @override
    def stream_stream(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        return self._rpc("stream_stream", args, kwargs)

    def _rpc(self, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[..., Any]:
        """What a stub calls. It looks for the newest channel each time, because stubs live as long as the process."""
        made: tuple[_Line, Callable[..., Any]] | None = None

        def call(*request: Any, **options: Any) -> Any:
            nonlocal made
            line = self._newest()
            if made is None or made[0] is not line:
                made = line, getattr(line.channel, kind)(*args, **kwargs)
            begun = made[1](*request, **options)
            line.calls.add(begun)
            begun.add_done_callback(lambda _: self._ended(line, begun))
            return begun

        return call

    def connect_anew(self) -> None:
        """Further calls use a new channel, which looks the peer's name up at once: gRPC waits up to two minutes before it looks again for a
        name that it has not found several times.
        """
        if time.monotonic() - self._line.made_at >= ANEW_SECONDS:
            self._replace(self._watch.current)

    def _newest(self) -> _Line:
        if (files := self._watch.current) is not self._line.files:
            self._replace(files)
        return self._line

    def _replace(self, files: TlsFiles) -> None:
        old, self._line = self._line, _Line(files, self._connect(files))
        self._retired.add(old)
        self._close_if_idle(old)

    def _ended(self, line: _Line, call: object) -> None:
        line.calls.discard(call)
        self._close_if_idle(line)

    def _close_if_idle(self, line: _Line) -> None:
        if line in self._retired and not line.calls:
            self._retired.discard(line)
            task = asyncio.get_running_loop().create_task(line.channel.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
