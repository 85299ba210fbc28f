"""LedgerService, for the other services only: decode, call the domain, encode."""

import math
from collections.abc import Sequence
from datetime import date
from typing import Any

import grpc
from convergence.auth.v1 import ledger_service_pb2 as messages
from convergence.auth.v1.ledger_service_pb2_grpc import LedgerServiceServicer

from services.auth.ledger import Ledger
from services.auth.store import RecordedUsage, Settlement
from services.platform.errors import InvalidArgument
from services.platform.timestamps import to_timestamp

type Context = grpc.aio.ServicerContext[Any, Any]

TRIGGER_TYPES = ("api", "scheduler", "backfill")
OUTCOMES = ("COMPLETED", "FAILED", "CANCELLED", "NOT_STARTED")
MAX_IDS, MAX_SETTLED = 10_000, 1_000


class LedgerServicer(LedgerServiceServicer):
    """LedgerService, as the proto describes it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def Reserve(self, request: messages.ReserveRequest, context: Context) -> messages.ReserveResponse:
        """Raises ResourceExhausted, PermissionDenied, InvalidArgument."""
        if request.trigger_type not in ("", *TRIGGER_TYPES):
            raise InvalidArgument("trigger_type", f"use one of {', '.join(TRIGGER_TYPES)}.")
        slot = await self._ledger.reserve(
            request.tenant_id, request.reservation_id, is_retry=request.is_retry, trigger_type=request.trigger_type or None
        )
        return messages.ReserveResponse(
            usage_date=slot.usage_date.isoformat(),
            lease_expires_at=to_timestamp(slot.lease_expires_at),
            month_left_usd=slot.month_left_usd,
            max_export_bytes=slot.max_export_bytes,
        )

    async def Renew(self, request: messages.RenewRequest, context: Context) -> messages.RenewResponse:
        """Raises InvalidArgument."""
        renewal = await self._ledger.renew(_ids(request.reservation_ids))
        return messages.RenewResponse(held_reservation_ids=sorted(renewal.held), lease_expires_at=to_timestamp(renewal.lease_expires_at))

    async def CheckReservations(self, request: messages.CheckReservationsRequest, context: Context) -> messages.CheckReservationsResponse:
        """Raises InvalidArgument."""
        return messages.CheckReservationsResponse(held_reservation_ids=sorted(await self._ledger.check(_ids(request.reservation_ids))))

    async def Settle(self, request: messages.SettleRequest, context: Context) -> messages.SettleResponse:
        """Raises InvalidArgument."""
        if len(request.settlements) > MAX_SETTLED:
            raise InvalidArgument("settlements", f"send at most {MAX_SETTLED} at once.")
        await self._ledger.settle([_settlement(index, one) for index, one in enumerate(request.settlements)])
        return messages.SettleResponse()

    async def ListExpiredReservations(
        self, request: messages.ListExpiredReservationsRequest, context: Context
    ) -> messages.ListExpiredReservationsResponse:
        """The oldest first."""
        return messages.ListExpiredReservationsResponse(
            reservations=[
                messages.ExpiredReservation(
                    tenant_id=one.tenant_id,
                    reservation_id=one.reservation_id,
                    usage_date=one.usage_date.isoformat(),
                    lease_expires_at=to_timestamp(one.lease_expires_at),
                    trigger_type=one.trigger_type or "",
                )
                for one in await self._ledger.expired()
            ]
        )


def _ids(asked: Sequence[str]) -> Sequence[str]:
    if len(asked) > MAX_IDS:
        raise InvalidArgument("reservation_ids", f"send at most {MAX_IDS} at once.")
    return asked


def _settlement(index: int, one: messages.Settlement) -> Settlement:
    if one.outcome not in OUTCOMES:
        raise InvalidArgument(f"settlements[{index}].outcome", f"use one of {', '.join(OUTCOMES)}.")
    try:
        usage_date = date.fromisoformat(one.usage_date)
    except ValueError:
        raise InvalidArgument(f"settlements[{index}].usage_date", "give the day that Reserve answered, YYYY-MM-DD.") from None
    if one.HasField("cost") and not (
        min(one.cost.bytes_billed, one.cost.slot_ms, one.cost.bytes_read) >= 0 <= one.cost.cost_usd < math.inf
    ):
        raise InvalidArgument(f"settlements[{index}].cost", "use numbers of 0 or more.")
    cost = RecordedUsage(
        bytes_billed=one.cost.bytes_billed, bytes_read=one.cost.bytes_read, slot_ms=one.cost.slot_ms, cost_usd=one.cost.cost_usd
    )
    return Settlement(
        tenant_id=one.tenant_id,
        reservation_id=one.reservation_id,
        usage_date=usage_date,
        outcome=one.outcome,
        only_if_expired=one.only_if_expired,
        cost=cost if one.HasField("cost") else None,
    )
