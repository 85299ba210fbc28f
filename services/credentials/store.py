"""The table `tenant_cloud_credentials`, and the audit rows in tenants' `x_meta_step_logs`: one method a statement."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from services.clouds.checks import CHECKS
from services.credentials.access_checks import CheckResult, DueCheck, PassedCheck, latest
from services.credentials.audit import AuditRow
from services.credentials.credential import Credential, SealedCredential
from services.credentials.deliveries import DeliveryOutcome, last_outcomes
from services.credentials.sealed_memory import SealedMemory
from services.platform.bigquery.append import AppendOnlyTable
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.result import QueryResult
from services.platform.bigquery.sql import load_blocks
from services.platform.bigquery.table_versions import TableVersions
from services.platform.group_commit import GroupCommit

STEP_LOGS = "x_meta_step_logs"
MAX_CONCURRENT_LOOK_UPS = 4
MAX_BLOBS = 100
"""Maximum number in one result, 64 KiB each at most: it stays below BigQuery's 10 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inserted:
    """The result of storing the first credentials."""

    is_new: bool
    """False: some existed."""
    is_offboarded: bool
    """True: the tenant is offboarded by now, and nothing of it may stay."""


class CredentialStore:
    """Reads and writes through the statements of `queries.sql`. All methods raise Unavailable if BigQuery does not answer in time."""

    def __init__(self, bq: BigQuery) -> None:
        self._bq = bq
        self._blocks = load_blocks(Path(__file__).with_name("queries.sql"))
        self._versions = TableVersions(bq, bq.control(), self._blocks["find_sealed_credentials"].read)
        self._sealed = SealedMemory()
        self._step_logs = AppendOnlyTable(bq, STEP_LOGS, key="log_id", insert=self._blocks["insert_audit_row"])
        self._look_ups: GroupCommit[tuple[str, str], SealedCredential | None] = GroupCommit(
            self._find_sealed, max_batch=MAX_BLOBS, max_concurrent=MAX_CONCURRENT_LOOK_UPS
        )
        self._checks: GroupCommit[CheckResult, None] = GroupCommit(self._record_checks)
        self._deliveries: GroupCommit[DeliveryOutcome, None] = GroupCommit(self._record_deliveries)

    async def find(self, tenant_id: str, provider: str) -> Credential | None:
        """The credential without its secret; None if there is none."""
        found = await self._control("find_credential", {"tenant_id": tenant_id, "provider": provider})
        return Credential.from_row(found.rows[0]) if found.rows else None

    async def list_all(self, tenant_id: str) -> list[Credential]:
        """One entry a provider, by its name."""
        found = await self._control("list_credentials", {"tenant_id": tenant_id})
        return [Credential.from_row(row) for row in found.rows]

    async def find_sealed(self, tenant_id: str, provider: str) -> SealedCredential | None:
        """The ciphertext; None if there is none. Concurrent look-ups for many tenants share a statement, and none is sent for what was
        found before if the table has not changed since.
        """
        return await self._look_ups.submit((tenant_id, provider))

    async def _find_sealed(self, wanted: Sequence[tuple[str, str]]) -> Sequence[SealedCredential | None]:
        version = await self._versions.current()
        known = self._sealed.recall(version, wanted)
        if to_read := [key for key in wanted if key not in known]:
            tenant_ids, providers = (sorted(set(names)) for names in zip(*to_read, strict=True))
            rows = (await self._control("find_sealed_credentials", {"tenant_ids": tenant_ids, "providers": providers})).rows
            found = [SealedCredential.from_row(row) for row in rows]
            self._sealed.keep(version, found)
            known |= {(one.tenant_id, one.provider): one for one in found}
        return [known.get(one) for one in wanted]

    async def insert(self, sealed: SealedCredential, *, user_id: str | None, at: datetime, passed: PassedCheck | None) -> Inserted:
        """Stores the first credentials, unless some exist: another writer's, or these, if the first response was lost.

        `passed`: None if they were not tried.
        """
        row = _columns(sealed, passed) | {"user_id": user_id, "at": at}
        return Inserted(**(await self._change("insert_credential", row)).only_row)

    async def update(self, sealed: SealedCredential, *, user_id: str | None, at: datetime, passed: PassedCheck | None) -> bool:
        """Replaces the ciphertext of the row with this id. False if there is no such row (any more). `passed`: see `insert`."""
        row = _columns(sealed, passed) | {"user_id": user_id, "at": at}
        return (await self._change("update_credential", row)).affected > 0

    async def list_due_checks(self, *, checked_before: datetime, limit: int) -> list[DueCheck]:
        """The clouds' credentials whose last check was before a time, or that were never checked; the longest unchecked first."""
        params: dict[str, object] = {"providers": list(CHECKS), "checked_before": checked_before, "page_size": limit}
        return [DueCheck.from_row(row) for row in (await self._control("list_due_access_checks", params)).rows]

    async def record_checks(self, results: Sequence[CheckResult]) -> None:
        """Records results, each only for the credentials that were checked. Concurrent calls share a statement."""
        await self._checks.submit_all(results)

    async def _record_checks(self, results: Sequence[CheckResult]) -> Sequence[None]:
        await self._change("record_access_checks", {"results": [asdict(result) for result in latest(results)]})
        return [None] * len(results)

    async def record_deliveries(self, outcomes: Sequence[DeliveryOutcome]) -> None:
        """Records outcomes, each only for the target that was tried. Concurrent calls share a statement."""
        await self._deliveries.submit_all(outcomes)

    async def _record_deliveries(self, outcomes: Sequence[DeliveryOutcome]) -> Sequence[None]:
        await self._change("record_deliveries", {"outcomes": [asdict(outcome) for outcome in last_outcomes(outcomes)]})
        return [None] * len(outcomes)

    async def delete(self, tenant_id: str, provider: str) -> None:
        """Deletes the credentials, if there are any."""
        await self._change("delete_credentials", {"tenant_id": tenant_id, "provider": provider})

    async def destroy(self, tenant_id: str) -> None:
        """Deletes all credentials of the tenant."""
        await self._change("destroy_credentials", {"tenant_id": tenant_id})

    async def record(self, row: AuditRow, *, new_table: bool = False) -> None:
        """Appends an audit row; `new_table`: its table was just created. Raises NotFound without the table."""
        audit = {**asdict(row), "timestamp": row.timestamp.isoformat()}
        await self._step_logs.append(self._bq.tenant(row.tenant_id), [audit], is_new=new_table)

    async def _change(self, block: str, params: dict[str, object]) -> QueryResult:
        try:
            return await self._control(block, params)
        finally:
            # Also after an error: the statement may have run.
            self._sealed.forget()

    async def _control(self, block: str, params: dict[str, object]) -> QueryResult:
        return await self._bq.query(self._blocks[block], params, dataset=self._bq.control())


def _columns(sealed: SealedCredential, passed: PassedCheck | None) -> dict[str, object]:
    columns: dict[str, object] = asdict(sealed)
    del columns["set_at"]  # the statements have a time of their own
    return {**columns, "access_status": passed and passed.status, "access_export": passed and passed.export}
