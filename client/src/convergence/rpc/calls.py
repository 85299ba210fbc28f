"""Calls of the sync client."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
from convergence.rpc.credentials import Credentials, bearer
from convergence.rpc.errors import ConfigurationError
from convergence.rpc.method import Method, Req, Res
from convergence.rpc.options import Options, World
from convergence.rpc.pages import Pages, T
from convergence.rpc.prepare import Prepared, event_id, prepare, resumed

CLOSED = "The client is closed. Make another one, or keep its `with` block open for as long as it is used."


class Link:
    """The channel and the bearer token, which all views of a client share. The channel is made at the first call, so that a client
    survives a fork before it.
    """

    def __init__(self, connect: Callable[[], grpc.Channel], credentials: Credentials) -> None:
        """`connect` makes the channel."""
        self._connect, self.credentials = connect, credentials
        self._channel: grpc.Channel | None = None
        self._token = ""
        self._closed = False
        self._lock = threading.Lock()

    @property
    def channel(self) -> grpc.Channel:
        """The one that all calls share."""
        with self._lock:
            if self._closed:
                raise ConfigurationError(CLOSED)
            if self._channel is None:
                self._channel = self._connect()
            return self._channel

    def authorization(self, *, anew: bool) -> tuple[str, str]:
        """The token as metadata; `anew`: the last one was refused."""
        if not self._token or anew:
            token = self.credentials.token
            self._token = token if isinstance(token, str) else self._got(token())
        return bearer(self._token)

    @staticmethod
    def _got(token: object) -> str:
        if not isinstance(token, str):
            raise ConfigurationError("`token` must give a str. A coroutine function is for AsyncClient.")
        return token

    def close(self) -> None:
        """Ends what is under way."""
        with self._lock:
            self._closed = True
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()


class Calls:
    """Carries calls out, with the options of a client."""

    def __init__(self, link: Link, options: Options, world: World, sleep: Callable[[float], None] = time.sleep) -> None:
        """`sleep` takes seconds."""
        self.link, self.options, self._world, self._sleep = link, options, world, sleep

    def with_options(self, options: Options) -> "Calls":
        """The same channel with other options."""
        return Calls(self.link, options, self._world, self._sleep)

    def unary(
        self, method: Method[Req, Res], fields: Mapping[str, object], *, timeout: float | None, idempotency_key: str | None = None
    ) -> Res:
        """One call and its retries. `timeout` in seconds; None: the client's."""
        limits = (self.options.timeout if timeout is None else timeout, idempotency_key)
        call = self._prepared(method, fields, limits)
        send = self.link.channel.unary_unary(
            method.path, request_serializer=method.request.SerializeToString, response_deserializer=method.response.FromString
        )
        while True:
            try:
                answer: Res = send(call.request, metadata=self._metadata(call), timeout=call.remaining(self._world.monotonic()))
                return answer
            except grpc.RpcError as refused:
                self._wait_or_raise(call, refused)

    def pages(
        self, method: Method[Req, Res], fields: Mapping[str, object], *, timeout: float | None, items: str, item: type[T]
    ) -> Pages[T, Res]:
        """A list. Nothing is sent until it is iterated over; `timeout` is for each page."""
        return Pages(lambda token: self.unary(method, {**fields, "page_token": token or None}, timeout=timeout), items)

    def stream(self, method: Method[Req, Res], fields: Mapping[str, object], *, timeout: float | None) -> Iterator[Res]:
        """Events as they come. A stream that is cut is opened again after the last event that had an id."""
        call = self._prepared(method, fields, (timeout, None), reopens=True)
        last = ""
        while True:
            try:
                stream = self.link.channel.unary_stream(
                    method.path, request_serializer=method.request.SerializeToString, response_deserializer=method.response.FromString
                )(resumed(call.request, last), metadata=self._metadata(call), timeout=call.remaining(self._world.monotonic()))
                try:
                    for event in stream:
                        call.attempts.begin_anew()
                        last = event_id(event) or last
                        yield event
                finally:
                    stream.cancel()
                return
            except grpc.RpcError as refused:
                self._wait_or_raise(call, refused)

    def _prepared(
        self, method: Method[Req, Res], fields: Mapping[str, object], limits: tuple[float | None, str | None], *, reopens: bool = False
    ) -> Prepared[Req]:
        call = prepare(method, fields, credentials=self.link.credentials, options=self.options, world=self._world, limits=limits)
        call.attempts.reopens = reopens
        return call

    def _metadata(self, call: Prepared[Any]) -> tuple[tuple[str, str], ...]:
        return (*call.metadata, self.link.authorization(anew=call.renewal())) if call.takes_token else call.metadata

    def _wait_or_raise(self, call: Prepared[Any], refused: grpc.RpcError) -> None:
        error, wait = call.after(refused, self._world.monotonic(), refreshable=callable(self.link.credentials.token))
        if wait is None:
            raise error from refused
        self._sleep(wait)


class Resource:
    """Some calls that belong together."""

    def __init__(self, calls: Calls) -> None:
        """`calls` carries them out."""
        self._calls = calls
