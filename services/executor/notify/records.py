"""A client of the credentials service's DeliveryService: it records the last outcome of each target."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Protocol

import grpc
import structlog
from convergence.credentials.v1 import delivery_service_pb2 as messages
from convergence.credentials.v1.delivery_service_pb2_grpc import DeliveryServiceStub

from services.executor.notify.notification import NotificationKind
from services.executor.notify.outcomes import Outcome, is_news
from services.platform.errors import ConvergenceError
from services.platform.group_commit import GroupCommit
from services.platform.timestamps import to_timestamp

MAX_OUTCOMES: Final = 40
"""The most that one call records."""
KNOWN_MOST: Final = 10_000
"""Targets whose last recorded outcome this process remembers."""

_log = structlog.get_logger()


class OutcomeRecords(Protocol):
    """Records outcomes."""

    async def note(self, outcome: Outcome) -> None:
        """Records it, if it is news. Never raises for a service that does not answer."""
        ...


class DeliveryRecords:
    """The client. Outcomes that arrive while a call is under way share the next call."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = DeliveryServiceStub(channel)
        self._last = OrderedDict[tuple[str, NotificationKind], Outcome]()
        self._sending: GroupCommit[Outcome, None] = GroupCommit(self._send, max_batch=MAX_OUTCOMES)

    async def note(self, outcome: Outcome) -> None:
        """Records it if it is news, see `is_news`. If recording fails, the failure is only logged: the next outcome is news again."""
        key = (outcome.tenant_id, outcome.kind)
        if not is_news(self._last.get(key), outcome):
            return
        self._last[key] = outcome
        self._last.move_to_end(key)
        if len(self._last) > KNOWN_MOST:
            self._last.popitem(last=False)
        try:
            await self._sending.submit(outcome)
        except ConvergenceError:  # e.g. an older credentials service
            self._last.pop(key, None)
            _log.warning("delivery_not_recorded", tenant_id=outcome.tenant_id, kind=outcome.kind)

    async def _send(self, outcomes: Sequence[Outcome]) -> Sequence[None]:
        await self._stub.RecordDeliveries(messages.RecordDeliveriesRequest(outcomes=[_to_proto(one) for one in outcomes]))
        return [None] * len(outcomes)


def _to_proto(outcome: Outcome) -> messages.DeliveryOutcome:
    return messages.DeliveryOutcome(
        tenant_id=outcome.tenant_id,
        provider=outcome.kind,
        set_at=to_timestamp(outcome.set_at),
        delivered_at=to_timestamp(outcome.at),
        delivery_status=outcome.status,
        delivery_problem=outcome.problem,
    )
