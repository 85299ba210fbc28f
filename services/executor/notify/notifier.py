"""The queue between runs and their notifications: bounded, in memory, and nobody's run waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog

from services.executor.notify.notification import Notification
from services.executor.notify.responses import NotDelivered
from services.executor.settings import ExecutorSettings
from services.platform import metrics
from services.platform.backoff import backoff

FIRST_WAIT, MAX_WAIT = 1.0, 60.0
"""Seconds between tries."""
SHARE = 4
"""One tenant may hold a quarter of the queue, and of the room for tries: its targets may all hang, and the others' are still told."""

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Times are in seconds."""

    queue: int
    """Notifications under way at once, waiting ones included; more are dropped."""
    max_concurrent: int
    """Of these, being tried at this moment."""
    try_seconds: float
    """For one try, from the first byte to the last."""
    all_seconds: float
    """For all tries of one notification and the waits between them."""
    flush_seconds: float
    """What a stopping process leaves them."""

    @classmethod
    def of(cls, settings: ExecutorSettings) -> Self:
        """What the operator has set."""
        return cls(
            queue=settings.notify_queue,
            max_concurrent=settings.notify_at_once,
            try_seconds=settings.notify_try_seconds,
            all_seconds=settings.notify_seconds,
            flush_seconds=min(settings.notify_flush_seconds, settings.grace_seconds / 4),
        )


@dataclass(kw_only=True, slots=True)
class _Tenant:
    room: asyncio.Semaphore
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


@dataclass(kw_only=True, slots=True)
class _Told:
    """What has come of a notification so far, for the log."""

    tries: int = 0
    host: str = ""
    reason: str = "no_answer"
    """Why it is not delivered yet."""


class Notifier:
    """Tries what it has accepted in the background. Leaving the context gives what is left a bounded time, then drops it."""

    def __init__(self, deliver: Callable[[Notification], Awaitable[str]], limits: Limits, *, first_wait: float = FIRST_WAIT) -> None:
        """`deliver` tries once: it answers the host, or raises NotDelivered."""
        self._deliver, self._limits, self._first_wait = deliver, limits, first_wait
        self._room = asyncio.Semaphore(limits.max_concurrent)
        self._tenants: dict[str, _Tenant] = {}
        self._stopping = False

    def accept(self, notification: Notification) -> bool:
        """Takes a notification, and answers at once; false if it was dropped, because too many are waiting or the process is stopping."""
        tenant_id = notification.report.tenant_id
        tenant = self._tenants.get(tenant_id) or _Tenant(room=asyncio.Semaphore(max(1, self._limits.max_concurrent // SHARE)))
        waiting = sum(len(one.tasks) for one in self._tenants.values())
        if self._stopping or waiting >= self._limits.queue or len(tenant.tasks) >= max(1, self._limits.queue // SHARE):
            _ended(notification, "dropped", reason="stopping" if self._stopping else "queue_full")
            return False
        self._tenants[tenant_id] = tenant
        task = asyncio.get_running_loop().create_task(self._try_until_told(notification, tenant))
        tenant.tasks.add(task)
        task.add_done_callback(lambda done: self._forget(tenant_id, tenant, done))
        return True

    def _forget(self, tenant_id: str, tenant: _Tenant, task: asyncio.Task[None]) -> None:
        tenant.tasks.discard(task)
        if not tenant.tasks:
            del self._tenants[tenant_id]

    async def _try_until_told(self, notification: Notification, tenant: _Tenant) -> None:
        ending, told = "dropped", _Told()
        try:
            async with asyncio.timeout(self._limits.all_seconds):
                ending = await self._try(notification, tenant, told)
        except TimeoutError:
            ending = "expired"
        finally:
            _ended(notification, ending, host=told.host, reason=told.reason, tries=told.tries)

    async def _try(self, notification: Notification, tenant: _Tenant, told: _Told) -> str:
        for wait in backoff(first=self._first_wait, most=MAX_WAIT):
            try:
                # Who waits for the next try holds no room.
                async with tenant.room, self._room:
                    told.tries += 1
                    told.host = await self._once(notification)
            except NotDelivered as failure:
                told.host, told.reason = failure.host, failure.reason
                if not failure.again:
                    return "refused"
                await asyncio.sleep(max(wait, failure.wait))
            else:
                told.reason = ""
                return "delivered"
        raise AssertionError("backoff never ends")

    async def _once(self, notification: Notification) -> str:
        try:
            async with asyncio.timeout(self._limits.try_seconds):
                return await self._deliver(notification)
        except TimeoutError:
            raise NotDelivered("timeout", again=True) from None
        except NotDelivered:
            raise
        except Exception as error:  # noqa: BLE001 - a bug must not end in silence; its text may hold the target
            raise NotDelivered(f"broke_{type(error).__name__}", again=False) from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping = True
        tasks = {task for tenant in self._tenants.values() for task in tenant.tasks}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._limits.flush_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _ended(notification: Notification, ending: str, **told: object) -> None:
    """Kind and host at most: a target's path is its secret, and an address of mail is a person's."""
    metrics.NOTIFICATIONS.labels(notification.kind, ending).inc()
    write = _log.info if ending == "delivered" else _log.warning
    write(f"notification_{ending}", kind=notification.kind, notification_id=notification.id, **told)
