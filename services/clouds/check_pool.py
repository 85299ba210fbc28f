"""Runs checks of tenants' access in threads: a bounded number at once, and of a tenant one at a time."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from services.clouds.access import TenantAccess
from services.clouds.checks import check_access
from services.clouds.findings import AccessReport
from services.platform.errors import ResourceExhausted, Unavailable

RETRY_AFTER: Final = timedelta(seconds=5)
WAITING_A_THREAD: Final = 4
"""Checks that may wait for each thread; more would wait longer than their callers do."""

type Checking = Callable[[TenantAccess, str | None, Callable[[], None]], AccessReport]
"""From access, an export, and a function that raises if the check is to end early, to the report. Blocks."""


class CheckStopped(Exception):
    """Raised in a thread whose caller is gone."""


class CheckPool:
    """`async with CheckPool(threads=4) as checks`."""

    def __init__(self, *, threads: int, is_one_a_tenant: bool = True, checking: Checking | None = None) -> None:
        """`is_one_a_tenant`: a tenant's second check at a time is refused. `checking` replaces `check_access`."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="check")
        self._most = threads * (1 + WAITING_A_THREAD)
        self._is_one_a_tenant = is_one_a_tenant
        self._checking = checking or _check
        self._running = dict[Future[AccessReport], str]()
        self._is_closed = threading.Event()

    async def check(self, access: TenantAccess, export: str | None) -> AccessReport:
        """The report of `check_access`. A check whose caller is cancelled ends after its current call.

        Raises InvalidArgument (`export`), ResourceExhausted (CHECK_RUNNING), Unavailable if too many wait already.
        """
        if self._is_one_a_tenant and access.tenant_id in self._running.values():
            message = f"A check of the credentials of {access.tenant_id} is under way. Try again when it has ended."
            raise ResourceExhausted("CHECK_RUNNING", message, retry_after=RETRY_AFTER)
        if len(self._running) >= self._most:
            raise Unavailable("SERVICE_UNAVAILABLE", "Too many checks of credentials are under way. Try again in a moment.")
        stopped = threading.Event()

        def check_cancelled() -> None:
            if stopped.is_set() or self._is_closed.is_set():
                raise CheckStopped

        loop, future = asyncio.get_running_loop(), self._pool.submit(copy_context().run, self._checking, access, export, check_cancelled)
        self._running[future] = access.tenant_id

        def free(done: Future[AccessReport]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before the thread
                loop.call_soon_threadsafe(self._running.pop, done, None)

        # When the thread has ended, not already its caller: a caller that goes must not free a place that is still taken.
        future.add_done_callback(free)
        try:
            return await asyncio.wrap_future(future)
        finally:
            stopped.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _check(access: TenantAccess, export: str | None, check_cancelled: Callable[[], None]) -> AccessReport:
    return check_access(access, export, check_cancelled=check_cancelled)
