"""NotificationService: tries a tenant's target of notifications."""

import uuid
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic as clock_of_the_process
from typing import Any, Final

import grpc
from convergence.executor.v1 import notification_service_pb2 as messages
from convergence.executor.v1.notification_service_pb2_grpc import NotificationServiceServicer

from services.executor.notify.notification import Notification, NotificationKind, Trial
from services.executor.notify.notifier import Notifier
from services.platform.clock import Clock
from services.platform.errors import FailedPrecondition, ResourceExhausted
from services.platform.limits.token_bucket import TokenBucket

type Context = grpc.aio.ServicerContext[Any, Any]

TARGETS: Final = (NotificationKind.SLACK, NotificationKind.WEBHOOK)
TESTS_A_MINUTE: Final = 6
"""Of a tenant, in each process: enough to try, too few to flood a target with."""
TENANTS_KNOWN: Final = 10_000
TEXT: Final = "A test of your notifications: they arrive here."


class NotificationServicer(NotificationServiceServicer):
    """NotificationService, as the proto describes it."""

    def __init__(self, notifier: Notifier, clock: Clock, *, monotonic: Callable[[], float] = clock_of_the_process) -> None:
        self._notifier, self._clock, self._monotonic = notifier, clock, monotonic
        self._buckets = OrderedDict[str, TokenBucket]()

    async def TestNotification(self, request: messages.TestNotificationRequest, context: Context) -> messages.TestNotificationResponse:
        """Raises FailedPrecondition (NOT_A_NOTIFICATION_TARGET, CREDENTIALS_MISSING), ResourceExhausted (RATE_LIMITED), Unavailable."""
        provider = request.provider.upper()
        if provider not in TARGETS:
            message = f"Only {' and '.join(TARGETS)} take notifications; CheckCredentials tries those of a cloud."
            raise FailedPrecondition("NOT_A_NOTIFICATION_TARGET", message)
        self._take_turn(request.tenant_id)
        tried = await self._notifier.try_now(
            Notification(
                id=f"test_{uuid.uuid4()}",
                kind=NotificationKind(provider),
                report=Trial(tenant_id=request.tenant_id, reported_at=self._clock.now()),
                text=TEXT,
            )
        )
        return messages.TestNotificationResponse(
            status=tried.status,
            message=tried.problem or "The target took the message.",
            http_status=tried.http_status,
            duration_ms=tried.milliseconds,
        )

    def _take_turn(self, tenant_id: str) -> None:
        now = self._monotonic()
        bucket = self._buckets.setdefault(tenant_id, TokenBucket.full(TESTS_A_MINUTE, now))
        self._buckets.move_to_end(tenant_id)
        if len(self._buckets) > TENANTS_KNOWN:
            self._buckets.popitem(last=False)
        bucket.refill(TESTS_A_MINUTE, now)
        if bucket.wait:
            message = f"A tenant may test its notifications {TESTS_A_MINUTE} times a minute. Try again later."
            raise ResourceExhausted("RATE_LIMITED", message, retry_after=bucket.wait)
        bucket.take()
