"""DeliveryService, for the executor: decode, call the domain, encode."""

from typing import Any

import grpc
from convergence.credentials.v1 import delivery_service_pb2 as messages
from convergence.credentials.v1.delivery_service_pb2_grpc import DeliveryServiceServicer

from services.credentials.deliveries import MAX_OUTCOMES, PROBLEM_LENGTH, DeliveryOutcome
from services.credentials.providers import to_provider
from services.credentials.store import CredentialStore
from services.platform.errors import InvalidArgument
from services.platform.timestamps import to_datetime

type Context = grpc.aio.ServicerContext[Any, Any]

OUTCOMES = ("DELIVERED", "REFUSED", "FAILED")


class DeliveryServicer(DeliveryServiceServicer):
    """DeliveryService, as the proto describes it."""

    def __init__(self, store: CredentialStore) -> None:
        self._store = store

    async def RecordDeliveries(self, request: messages.RecordDeliveriesRequest, context: Context) -> messages.RecordDeliveriesResponse:
        """Raises InvalidArgument, Unavailable."""
        if len(request.outcomes) > MAX_OUTCOMES:
            raise InvalidArgument("outcomes", f"send at most {MAX_OUTCOMES} at once.")
        await self._store.record_deliveries([_to_outcome(one, f"outcomes[{place}]") for place, one in enumerate(request.outcomes)])
        return messages.RecordDeliveriesResponse()


def _to_outcome(outcome: messages.DeliveryOutcome, path: str) -> DeliveryOutcome:
    if outcome.delivery_status not in OUTCOMES:
        raise InvalidArgument(f"{path}.delivery_status", f"use one of {', '.join(OUTCOMES)}.")
    return DeliveryOutcome(
        tenant_id=outcome.tenant_id,
        provider=to_provider(outcome.provider),
        set_at=to_datetime(outcome.set_at),
        delivered_at=to_datetime(outcome.delivered_at),
        delivery_status=outcome.delivery_status,
        delivery_problem=outcome.delivery_problem[:PROBLEM_LENGTH],
    )
