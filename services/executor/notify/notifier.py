"""The queue of notifications: bounded, in memory. No run waits for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog

from services.executor.notify.notification import Notification
from services.executor.notify.outcomes import DeliveryStatus, Outcome, http_status_of, problem_of
from services.executor.notify.records import OutcomeRecords
from services.executor.notify.responses import Attempt, NotDelivered
from services.executor.settings import ExecutorSettings
from services.platform import metrics
from services.platform.backoff import backoff
from services.platform.clock import Clock, SystemClock

FIRST_WAIT, MAX_WAIT = 1.0, 60.0
"""Seconds between tries."""
SHARE = 4
"""One tenant may use at most 1/SHARE of the queue and of the concurrent tries, so that its hanging targets do not block other tenants."""

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Times are in seconds."""

    queue: int
    """Maximum notifications in the process, waiting ones included; further ones are dropped."""
    max_concurrent: int
    """Maximum tries in flight at once."""
    try_seconds: float
    """Timeout of one try."""
    all_seconds: float
    """Timeout of all tries of one notification with the waits between them."""
    flush_seconds: float
    """Time for deliveries after the process begins to stop."""

    @classmethod
    def of(cls, settings: ExecutorSettings) -> Self:
        """From the settings."""
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
class _Progress:
    """The progress of one notification, for the log."""

    tries: int = 0
    host: str = ""
    reason: str = "no_answer"
    """Why it is not delivered yet."""
    attempt: Attempt = field(default_factory=Attempt)
    """The last try."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """The outcome of one try."""

    status: DeliveryStatus
    problem: str
    """A sentence for the tenant; empty if it was delivered."""
    http_status: int
    """The target's HTTP status; 0: it did not answer."""
    milliseconds: int


class Notifier:
    """Tries accepted notifications in the background. Leaving the context gives the rest `flush_seconds`, then drops them."""

    def __init__(
        self,
        deliver: Callable[[Notification, Attempt], Awaitable[str]],
        limits: Limits,
        *,
        first_wait: float = FIRST_WAIT,
        records: OutcomeRecords | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`deliver` tries once: it fills in the attempt and returns the host, or raises NotDelivered. `first_wait`: seconds before the
        second try. `records`: None records no outcomes.
        """
        self._deliver, self._limits, self._first_wait = deliver, limits, first_wait
        self._records, self._clock = records, clock or SystemClock()
        self._room = asyncio.Semaphore(limits.max_concurrent)
        self._tenants: dict[str, _Tenant] = {}
        self._stopping = False

    def accept(self, notification: Notification) -> bool:
        """Queues a notification and returns at once; False if it was dropped because the queue is full or the process is stopping."""
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

    async def try_now(self, notification: Notification) -> Tried:
        """Tries once, immediately. Raises the service's own error if the target does not exist or cannot be opened now."""
        attempt, reason, again = Attempt(), "", False
        async with self._room:
            began = time.monotonic()
            try:
                await self._once(notification, attempt)
            except NotDelivered as failure:
                if failure.our_error is not None:
                    raise failure.our_error from None
                reason, again = failure.reason, failure.again
            taken = time.monotonic() - began
        status = _status("delivered" if not reason else "expired" if again else "refused", reason)
        metrics.NOTIFICATIONS.labels(notification.kind, f"test_{status.lower()}").inc()
        _log.info("notification_tested", kind=notification.kind, notification_id=notification.id, status=status, reason=reason)
        await self._note(notification, status, reason, attempt)
        return Tried(
            status=status,
            problem=problem_of(reason) if reason else "",
            http_status=attempt.http_status or http_status_of(reason),
            milliseconds=round(taken * 1000),
        )

    async def _note(self, notification: Notification, status: DeliveryStatus, reason: str, attempt: Attempt) -> None:
        if self._records is None or attempt.set_at is None:
            return
        outcome = Outcome(
            tenant_id=notification.report.tenant_id,
            kind=notification.kind,
            set_at=attempt.set_at,
            status=status,
            problem=problem_of(reason) if reason else "",
            at=self._clock.now(),
        )
        await self._records.note(outcome)

    def _forget(self, tenant_id: str, tenant: _Tenant, task: asyncio.Task[None]) -> None:
        tenant.tasks.discard(task)
        if not tenant.tasks:
            del self._tenants[tenant_id]

    async def _try_until_told(self, notification: Notification, tenant: _Tenant) -> None:
        ending, progress = "dropped", _Progress()
        try:
            async with asyncio.timeout(self._limits.all_seconds):
                ending = await self._try(notification, tenant, progress)
        except TimeoutError:
            ending = "expired"
        finally:
            _ended(notification, ending, host=progress.host, reason=progress.reason, tries=progress.tries)
        await self._note(notification, _status(ending, progress.reason), progress.reason, progress.attempt)

    async def _try(self, notification: Notification, tenant: _Tenant, progress: _Progress) -> str:
        for wait in backoff(first=self._first_wait, most=MAX_WAIT):
            try:
                # A notification that waits for its next try does not count as in flight.
                async with tenant.room, self._room:
                    progress.tries += 1
                    progress.attempt = Attempt()
                    progress.host = await self._once(notification, progress.attempt)
            except NotDelivered as failure:
                progress.host, progress.reason = failure.host, failure.reason
                if not failure.again:
                    return "refused"
                await asyncio.sleep(max(wait, failure.wait))
            else:
                progress.reason = ""
                return "delivered"
        raise AssertionError("backoff never ends")

    async def _once(self, notification: Notification, attempt: Attempt) -> str:
        try:
            async with asyncio.timeout(self._limits.try_seconds):
                return await self._deliver(notification, attempt)
        except TimeoutError:
            raise NotDelivered("timeout", again=True) from None
        except NotDelivered:
            raise
        except Exception as error:  # noqa: BLE001 - a bug must be logged; the error's text is not, because it may contain the target
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


def _status(ending: str, reason: str) -> DeliveryStatus:
    if ending == "delivered":
        return DeliveryStatus.DELIVERED
    return DeliveryStatus.REFUSED if ending == "refused" and not reason.startswith("broke_") else DeliveryStatus.FAILED


def _ended(notification: Notification, ending: str, **fields: object) -> None:
    """Logs kind and host at most: a target's path is a secret, and an e-mail address is personal data."""
    metrics.NOTIFICATIONS.labels(notification.kind, ending).inc()
    write = _log.info if ending == "delivered" else _log.warning
    write(f"notification_{ending}", kind=notification.kind, notification_id=notification.id, **fields)
