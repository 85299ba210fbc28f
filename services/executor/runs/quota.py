"""A client of auth's quota ledger: a run holds a reservation under its own id from reserve to settle."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime

import grpc
from convergence.auth.v1 import ledger_service_pb2 as messages
from convergence.auth.v1.ledger_service_pb2_grpc import LedgerServiceStub

from services.executor.metering.cap import NO_LIMITS, RunAllowance
from services.executor.records import Run, RunCost
from services.platform.timestamps import to_datetime

NOT_STARTED = "NOT_STARTED"
"""The outcome to settle with if a run never began: what its reservation took is given back. The other outcomes are RunStatus."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """A run's reservation."""

    tenant_id: str
    pipeline_logging_id: str
    usage_date: date
    """The UTC day that it counts on."""
    expired_at: datetime | None = None
    """When its lease expired; None while it is renewed."""
    renewed_at: float | None = None
    """When this process last asked for its lease, in monotonic seconds. The lease began then or later. None: not known."""
    allowance: RunAllowance = NO_LIMITS
    """What the tenant's plan leaves the run."""
    trigger_type: str | None = None
    """Of an expired one: the run's trigger_type, as given when it was reserved; None: not known."""


class QuotaClient:
    """Auth's LedgerService. All calls may be repeated; all raise Unavailable if auth does not answer."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = LedgerServiceStub(channel)

    async def reserve(self, run: Run) -> Reservation:
        """Reserves a slot, and a unit of the limits unless it is a retry. Raises ResourceExhausted, naming the limit, if there is none."""
        tenant_id, pipeline_logging_id = run.tenant_id, run.pipeline_logging_id
        request = messages.ReserveRequest(
            tenant_id=tenant_id, reservation_id=pipeline_logging_id, is_retry=run.attempt > 1, trigger_type=run.trigger_type
        )
        answer = await self._stub.Reserve(request)
        return Reservation(
            tenant_id=tenant_id,
            pipeline_logging_id=pipeline_logging_id,
            usage_date=date.fromisoformat(answer.usage_date),
            allowance=RunAllowance(
                month_left_usd=answer.month_left_usd if answer.HasField("month_left_usd") else None,
                max_export_bytes=answer.max_export_bytes or None,
            ),
        )

    async def renew(self, pipeline_logging_ids: Sequence[str]) -> set[str]:
        """Renews these reservations in one call; returns those that are still held."""
        answer = await self._stub.Renew(messages.RenewRequest(reservation_ids=pipeline_logging_ids))
        return set(answer.held_reservation_ids)

    async def held(self, pipeline_logging_ids: Sequence[str]) -> set[str]:
        """Those of these runs that hold a reservation, of any tenants and executors. Renews nothing."""
        answer = await self._stub.CheckReservations(messages.CheckReservationsRequest(reservation_ids=pipeline_logging_ids))
        return set(answer.held_reservation_ids)

    async def settle(self, reservation: Reservation, outcome: str, cost: RunCost | None = None, *, only_if_expired: bool = False) -> None:
        """Ends a reservation and counts how its run ended. `cost`: what the run has used; None: not known here. The cost is counted once,
        even if another process has already ended the reservation without it. `only_if_expired`: does nothing if it has been reserved again.
        """
        settlement = messages.Settlement(
            tenant_id=reservation.tenant_id,
            reservation_id=reservation.pipeline_logging_id,
            usage_date=reservation.usage_date.isoformat(),
            outcome=outcome,
            cost=messages.RunCost(**asdict(cost)) if cost else None,
            only_if_expired=only_if_expired,
        )
        await self._stub.Settle(messages.SettleRequest(settlements=[settlement]))

    async def list_expired(self) -> list[Reservation]:
        """Reservations whose lease has expired."""
        answer = await self._stub.ListExpiredReservations(messages.ListExpiredReservationsRequest())
        return [
            Reservation(
                tenant_id=one.tenant_id,
                pipeline_logging_id=one.reservation_id,
                usage_date=date.fromisoformat(one.usage_date),
                expired_at=to_datetime(one.lease_expires_at),
                trigger_type=one.trigger_type or None,
            )
            for one in answer.reservations
        ]
