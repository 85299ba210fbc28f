"""What the scheduler's tables hold of an offboarded tenant. The SQL, with the reasons why it is safe, is in `queries.sql`."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import load_blocks
from services.platform.errors import FailedPrecondition
from services.scheduler.offboarding.ends import OFFBOARDED, ExportedRows, Proof
from services.scheduler.queue.span import Span

BLOCKS = load_blocks(Path(__file__).with_name("queries.sql"))
LEASE = timedelta(seconds=120)
"""Of claims that are taken over. Longer than a call: if it breaks off, another scheduler takes them over as usual."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """What was ended, and what is left."""

    schedules_stopped: int
    runs_dropped: int
    runs_left: int
    """QUEUED runs, which were queued at this moment."""
    claimed_by: str
    """The claim that holds the tenant's claimed runs now."""
    claimed: Span | None
    """Their fire times; None: there are none."""


class OffboardingStore:
    """Raises Unavailable when BigQuery does not answer; the call may be repeated."""

    def __init__(self, bq: BigQuery) -> None:
        self._bq = bq

    async def stop(self, tenant_id: str, now: datetime) -> Stopped:
        """Switches the tenant's schedules off, drops its queued runs, and takes over its claimed ones. The tenant must be closed."""
        claimed_by = str(uuid.uuid4())
        params = {
            "tenant_id": tenant_id,
            "claimed_by": claimed_by,
            "lease_expires_at": now + LEASE,
            "error_message": OFFBOARDED,
            "now": now,
        }
        row = (await self._bq.query(BLOCKS["stop_tenant"], params, dataset=self._bq.control())).only_row
        first, last = row.pop("first_claimed"), row.pop("last_claimed")
        claimed = Span(first=first, last=last) if first is not None and last is not None else None
        return Stopped(**row, claimed_by=claimed_by, claimed=claimed)

    async def prove(self, tenant_id: str, proof: Proof, now: datetime, request_id: str) -> None:
        """Records what a call has ended, for ever."""
        params = {
            "offboarding_id": str(uuid.uuid4()),
            "tenant_id": tenant_id,
            "offboarded_at": proof.closed_at,
            "completed_at": now if proof.dataset else None,
            "dataset": proof.dataset,
            "keys_revoked": proof.keys_revoked,
            "schedules_stopped": proof.schedules_stopped,
            "runs_dropped": proof.runs_dropped,
            "runs_cancelled": proof.runs_cancelled,
            "credentials_destroyed": proof.credentials_destroyed,
            "request_id": request_id or None,
            "export_uri": proof.export_uri or None,
            "exported": [{"table_name": one.table_name, "row_count": one.row_count, "uri": one.uri} for one in proof.exported],
        }
        await self._bq.query(BLOCKS["prove_offboarding"], params, dataset=self._bq.control())

    async def exported(self, tenant_id: str, export_uri: str) -> tuple[ExportedRows, ...]:
        """What calls before have exported there, by their proof."""
        params = {"tenant_id": tenant_id, "export_uri": export_uri}
        rows = (await self._bq.query(BLOCKS["read_exported"], params, dataset=self._bq.control())).rows
        return tuple(ExportedRows(**one) for row in rows for one in row["exported"])

    async def refuse(self, tenant_id: str, now: datetime) -> None:
        """Takes back what a call has queued or scheduled that began before its tenant was closed. Always raises FailedPrecondition, or
        Unavailable.
        """
        await self.stop(tenant_id, now)
        raise FailedPrecondition("TENANT_OFFBOARDED", f"Tenant {tenant_id} was offboarded, which is final; nothing was stored.")
