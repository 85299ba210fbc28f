"""The two clients. Their resources are generated from the protos."""

import os
from copy import copy
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from convergence.api.resources import AsyncResources, Resources
from convergence.client.channels import async_channel, sync_channel
from convergence.client.connection import Connection, resolve
from convergence.client.profiles import Profile
from convergence.rpc.async_calls import AsyncCalls, AsyncLink
from convergence.rpc.calls import Calls, Link
from convergence.rpc.credentials import AsyncToken, Token
from convergence.rpc.options import Options, World
from convergence.rpc.retry import Retry


def connected(url: str | None, profile: str | None, token: AsyncToken | None, given: dict[str, str | None]) -> Connection:
    """The connection for a client's arguments."""
    fields = {name: value or "" for name, value in given.items()}
    return resolve(Profile(url=url or "", **fields), token=token, profile=profile, environment=os.environ)


def changed(options: Options, tenant_id: str | None, user_id: str | None, timeout: float | None, retry: Retry | None) -> Options:
    """`options` with what is given."""
    given = {"tenant_id": tenant_id, "user_id": user_id, "timeout": timeout, "retry": retry}
    return replace(options, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


class Client(Resources):
    """Calls Convergence. Safe to share between threads. Close it, or use it with `with`:

        with Client() as client:
            started = client.pipelines.run("gcp/cost/billing", {"date": "yesterday"})
            run = client.runs.wait(started.pipeline_logging_id)

    Each attribute is a resource, e.g. `client.runs`; `help(client.runs)` lists its calls.
    """

    def __init__(  # noqa: PLR0913 - what a client may be given, all of it optional
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        admin_key: str | None = None,
        token: Token | None = None,
        tenant_id: str | None = None,
        user_id: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        profile: str | None = None,
        timeout: float = 60.0,
        retry: Retry | None = None,
    ) -> None:
        """Connects at the first call. What is not given is taken from the environment or a profile (`convergence.client.connection`).

        Args:
            url: The gateway, https://host or http://host:port (plaintext).
            api_key: For calls of a tenant.
            admin_key: For calls of an operator or the subscription system.
            token: A bearer token for calls for which there is no key, or a function that gets one.
            tenant_id: The tenant of calls that name none.
            user_id: On whose behalf, for the records.
            ca_file: A PEM file with the certificates that are trusted, instead of the system's.
            profile: The name of a profile.
            timeout: Seconds for a call, its retries and their waits included.
            retry: How patient it is.

        Raises:
            ConfigurationError: if it does not know where to connect, or if a value cannot be right.
        """
        given = {"api_key": api_key, "admin_key": admin_key, "tenant_id": tenant_id, "user_id": user_id}
        connection = connected(url, profile, token, {**given, "ca_file": os.fspath(ca_file) if ca_file else None})
        options = Options(tenant_id=connection.tenant_id, user_id=connection.user_id, timeout=timeout, retry=retry or Retry())
        self.connection: Final = connection
        super().__init__(Calls(Link(lambda: sync_channel(connection), connection.credentials), options, World()))

    @property
    def options(self) -> Options:
        """What its calls have in common."""
        return self._calls.options

    def with_options(
        self, *, tenant_id: str | None = None, user_id: str | None = None, timeout: float | None = None, retry: Retry | None = None
    ) -> Self:
        """The same client over the same connection with other options, e.g. for one request of a user of yours. Closing it closes both."""
        other = copy(self)
        Resources.__init__(other, self._calls.with_options(changed(self.options, tenant_id, user_id, timeout, retry)))
        return other

    def close(self) -> None:
        """Closes the connection; calls that are under way end with an error."""
        self._calls.link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.connection.url!r}, tenant_id={self.options.tenant_id!r})"


class AsyncClient(AsyncResources):
    """`Client` for asyncio: the same resources and arguments; calls are awaited, lists and streams iterated over with `async for`."""

    def __init__(  # noqa: PLR0913 - as Client
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        admin_key: str | None = None,
        token: AsyncToken | None = None,
        tenant_id: str | None = None,
        user_id: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        profile: str | None = None,
        timeout: float = 60.0,
        retry: Retry | None = None,
    ) -> None:
        """See `Client`. One client belongs to one event loop."""
        given = {"api_key": api_key, "admin_key": admin_key, "tenant_id": tenant_id, "user_id": user_id}
        connection = connected(url, profile, token, {**given, "ca_file": os.fspath(ca_file) if ca_file else None})
        options = Options(tenant_id=connection.tenant_id, user_id=connection.user_id, timeout=timeout, retry=retry or Retry())
        self.connection: Final = connection
        super().__init__(AsyncCalls(AsyncLink(lambda: async_channel(connection), connection.credentials), options, World()))

    @property
    def options(self) -> Options:
        """What its calls have in common."""
        return self._calls.options

    def with_options(
        self, *, tenant_id: str | None = None, user_id: str | None = None, timeout: float | None = None, retry: Retry | None = None
    ) -> Self:
        """The same client over the same connection with other options, e.g. for one request of a user of yours. Closing it closes both."""
        other = copy(self)
        AsyncResources.__init__(other, self._calls.with_options(changed(self.options, tenant_id, user_id, timeout, retry)))
        return other

    async def close(self) -> None:
        """Closes the connection; calls that are under way end with an error."""
        await self._calls.link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self.connection.url!r}, tenant_id={self.options.tenant_id!r})"
