"""Sends recorded entries to the service that stores them, in the background."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

import grpc
import structlog
from convergence.auth.v1.audit_append_service_pb2 import AppendAuditEntriesRequest
from convergence.auth.v1.audit_append_service_pb2_grpc import AuditAppendServiceStub

from services.platform import metrics
from services.platform.audit.entry import AuditEntry
from services.platform.audit.pending import PendingEntries
from services.platform.clock import Clock
from services.platform.errors import InvalidArgument
from services.platform.periodic import Periodic

_log = structlog.get_logger()

MAX_BATCH = 500
"""Entries of one request: some 400 KB."""


class Append(Protocol):
    """Where entries are stored."""

    async def __call__(self, entries: Sequence[AuditEntry], *, urgent: bool) -> None:
        """Stores entries, each once by its id, however often it is sent. `urgent`: at once, not together with the entries of the next
        seconds. Raises ConvergenceError if it is not certain that all are stored.
        """
        ...


def to_auth(channel: grpc.aio.Channel) -> Append:
    """Stores by calling auth."""
    stub = AuditAppendServiceStub(channel)

    async def append(entries: Sequence[AuditEntry], *, urgent: bool) -> None:
        await stub.AppendAuditEntries(AppendAuditEntriesRequest(entries=[entry.to_proto() for entry in entries], urgent=urgent))

    return append


class AuditDelivery:
    """While its context is open, sends entries every `every_seconds`, one batch after the other, and again until they are stored. Leaving
    the context sends all that is left, for at most `last_seconds`. What cannot be stored by then goes to the service's own log.
    """

    def __init__(self, pending: PendingEntries, append: Append, clock: Clock, *, every_seconds: float, last_seconds: float) -> None:
        self._pending, self._append, self._clock = pending, append, clock
        self._last_seconds = last_seconds
        self._periodic = Periodic("audit", (self.send, every_seconds))

    async def send(self, *, is_last: bool = False) -> None:
        """Sends what is due. Raises the error of the first batch that could not be stored; its entries, and the later ones, stay."""
        try:
            while batch := self._pending.due(self._clock.now(), most=MAX_BATCH, is_last=is_last):
                await self._send(batch, urgent=is_last)
        finally:
            metrics.AUDIT_WAITING.set(len(self._pending))

    async def _send(self, batch: Sequence[AuditEntry], *, urgent: bool) -> None:
        try:
            await self._append(batch, urgent=urgent)
        except InvalidArgument as error:
            if len(batch) > 1:
                # One bad entry must not hold up the others.
                for entry in batch:
                    await self._send([entry], urgent=urgent)
                return
            metrics.AUDIT_ENTRIES.labels("dropped").inc()
            _log.error("audit_entry_refused", entry=str(batch[0]), why=error.message)
            self._pending.stored(batch)
            return
        except Exception:
            metrics.AUDIT_ENTRIES.labels("delayed").inc(len(batch))
            raise
        self._pending.stored(batch)
        metrics.AUDIT_ENTRIES.labels("written").inc(len(batch))

    async def __aenter__(self) -> Self:
        await self._periodic.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._periodic.__aexit__(kind, error, trace)
        try:
            async with asyncio.timeout(self._last_seconds):
                await self.send(is_last=True)
        except Exception as unexpected:  # noqa: BLE001 - whatever it is, the entries must not be lost with the process
            _log.warning("audit_not_stored", error=type(unexpected).__name__)
            left = self._pending.due(self._clock.now(), most=len(self._pending), is_last=True)
            metrics.AUDIT_ENTRIES.labels("dropped").inc(len(left))
            for entry in left:
                _log.error("audit_entry_not_stored", entry=str(entry))
