"""What the scheduler's tables hold of an offboarded tenant. The SQL, with the reasons why it is safe, is in `queries.sql`."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import load_blocks
from services.platform.errors import FailedPrecondition
from services.scheduler.offboarding.ends import DELETING, OFFBOARDED, ExportedRows, Proof
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

    async def prove(self, call: str, tenant_id: str, proof: Proof, now: datetime, request_id: str) -> None:
        """Records what a call has ended, for ever; does nothing if its row, `call`, is there."""
        params = {
            "offboarding_id": call,
            "tenant_id": tenant_id,
            "offboarded_at": proof.closed_at,
            "completed_at": now if proof.dataset and proof.dataset != DELETING else None,
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

    async def complete(self, tenant_id: str, now: datetime, *, call: str | None = None) -> None:
        """Completes the row of the call that was about to delete the tenant's dataset, for it is gone. None: of those that were killed."""
        params = {"tenant_id": tenant_id, "offboarding_id": call, "now": now}
        await self._bq.query(BLOCKS["complete_deletions"], params, dataset=self._bq.control())

    async def proven(self, tenant_id: str, export_uri: str) -> Proof | None:
        """The last proof of a whole offboarding, with that export if one is named; None: there is none."""
        params = {"tenant_id": tenant_id, "export_uri": export_uri}
        rows = (await self._bq.query(BLOCKS["read_proof"], params, dataset=self._bq.control())).rows
        return _to_proof(rows[0]) if rows else None

    async def refuse(self, tenant_id: str, now: datetime) -> None:
        """Takes back what a call has queued or scheduled that began before its tenant was closed. Always raises FailedPrecondition, or
        Unavailable.
        """
        await self.stop(tenant_id, now)
        raise FailedPrecondition("TENANT_OFFBOARDED", f"Tenant {tenant_id} was offboarded, which is final; nothing was stored.")


def _to_proof(row: Mapping[str, Any]) -> Proof:
    return Proof(
        closed_at=row["offboarded_at"],
        keys_revoked=row["keys_revoked"],
        schedules_stopped=row["schedules_stopped"],
        runs_dropped=row["runs_dropped"],
        runs_cancelled=row["runs_cancelled"],
        credentials_destroyed=tuple(row["credentials_destroyed"]),
        dataset=row["dataset"],
        export_uri=row["export_uri"] or "",
        exported=tuple(ExportedRows(**one) for one in row["exported"]),
    )
