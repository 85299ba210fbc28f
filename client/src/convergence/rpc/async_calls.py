"""Calls of the async client."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
from convergence.rpc.calls import CLOSED
from convergence.rpc.credentials import Credentials, bearer
from convergence.rpc.errors import ConfigurationError
from convergence.rpc.method import Method, Req, Res
from convergence.rpc.options import Options, World
from convergence.rpc.pages import AsyncPages, T
from convergence.rpc.prepare import Prepared, event_id, prepare, resumed


class AsyncLink:
    """The channel and the bearer token, which all views of a client share. The channel is made at the first call, on its event loop."""

    def __init__(self, connect: Callable[[], grpc.aio.Channel], credentials: Credentials) -> None:
        """`connect` makes the channel."""
        self._connect, self.credentials = connect, credentials
        self._channel: grpc.aio.Channel | None = None
        self._token = ""
        self._closed = False

    @property
    def channel(self) -> grpc.aio.Channel:
        """The one that all calls share."""
        if self._closed:
            raise ConfigurationError(CLOSED)
        if self._channel is None:
            self._channel = self._connect()
        return self._channel

    async def authorization(self, *, anew: bool) -> tuple[str, str]:
        """The token as metadata; `anew`: the last one was refused."""
        if not self._token or anew:
            token = self.credentials.token
            given = token if isinstance(token, str) else token()
            self._token = await given if inspect.isawaitable(given) else given
        return bearer(self._token)

    async def close(self) -> None:
        """Ends what is under way."""
        self._closed = True
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()


class AsyncCalls:
    """Carries calls out, with the options of a client."""

    def __init__(
        self, link: AsyncLink, options: Options, world: World, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        """`sleep` takes seconds."""
        self.link, self.options, self._world, self._sleep = link, options, world, sleep

    def with_options(self, options: Options) -> "AsyncCalls":
        """The same channel with other options."""
        return AsyncCalls(self.link, options, self._world, self._sleep)

    async def unary(
        self, method: Method[Req, Res], fields: Mapping[str, object], *, timeout: float | None, idempotency_key: str | None = None
    ) -> Res:
        """One call and its retries. `timeout` in seconds; None: the client's."""
        limits = (self.options.timeout if timeout is None else timeout, idempotency_key)
        call = self._prepared(method, fields, limits)
        send = self.link.channel.unary_unary(
            method.path, request_serializer=method.request.SerializeToString, response_deserializer=method.response.FromString
        )
        while True:
            metadata = await self._metadata(call)
            try:
                answer: Res = await send(call.request, metadata=metadata, timeout=call.remaining(self._world.monotonic()))
                return answer
            except grpc.aio.AioRpcError as refused:
                await self._wait_or_raise(call, refused)

    def pages(
        self, method: Method[Req, Res], fields: Mapping[str, object], *, timeout: float | None, items: str, item: type[T]
    ) -> AsyncPages[T, Res]:
        """A list. Nothing is sent until it is iterated over; `timeout` is for each page."""
        return AsyncPages(lambda token: self.unary(method, {**fields, "page_token": token or None}, timeout=timeout), items)

    async def stream(self, method: Method[Req, Res], fields: Mapping[str, object], *, timeout: float | None) -> AsyncIterator[Res]:
        """Events as they come. A stream that is cut is opened again after the last event that had an id."""
        call = self._prepared(method, fields, (timeout, None), reopens=True)
        last = ""
        while True:
            metadata = await self._metadata(call)
            try:
                stream = self.link.channel.unary_stream(
                    method.path, request_serializer=method.request.SerializeToString, response_deserializer=method.response.FromString
                )(resumed(call.request, last), metadata=metadata, timeout=call.remaining(self._world.monotonic()))
                try:
                    async for event in stream:
                        call.attempts.begin_anew()
                        last = event_id(event) or last
                        yield event
                finally:
                    stream.cancel()
                return
            except grpc.aio.AioRpcError as refused:
                await self._wait_or_raise(call, refused)

    def _prepared(
        self, method: Method[Req, Res], fields: Mapping[str, object], limits: tuple[float | None, str | None], *, reopens: bool = False
    ) -> Prepared[Req]:
        call = prepare(method, fields, credentials=self.link.credentials, options=self.options, world=self._world, limits=limits)
        call.attempts.reopens = reopens
        return call

    async def _metadata(self, call: Prepared[Any]) -> tuple[tuple[str, str], ...]:
        return (*call.metadata, await self.link.authorization(anew=call.renewal())) if call.takes_token else call.metadata

    async def _wait_or_raise(self, call: Prepared[Any], refused: grpc.aio.AioRpcError) -> None:
        error, wait = call.after(refused, self._world.monotonic(), refreshable=callable(self.link.credentials.token))
        if wait is None:
            raise error from refused
        await self._sleep(wait)


class AsyncResource:
    """Some calls that belong together."""

    def __init__(self, calls: AsyncCalls) -> None:
        """`calls` carries them out."""
        self._calls = calls
