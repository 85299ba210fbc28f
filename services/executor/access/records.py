"""A client of the credentials service's AccessCheckService: which credentials are due for a check, and what was found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import grpc
from convergence.credentials.v1 import access_check_service_pb2 as messages
from convergence.credentials.v1.access_check_service_pb2_grpc import AccessCheckServiceStub

from services.clouds.findings import AccessReport, AccessVerdict
from services.executor.sources.credentials import SealedCredential
from services.platform.timestamps import to_datetime, to_timestamp

MAX_PAGE: Final = 40
"""The most that one call returns, or records."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DueCredentials:
    """Credentials that are due for a check."""

    sealed: SealedCredential
    last_status: str
    """The verdict of the last check; empty: never checked."""
    export: str | None
    """The export that could be read when a check last named one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedCredentials:
    """The result of a check."""

    sealed: SealedCredential
    """What was checked."""
    report: AccessReport
    checked_at: datetime
    export: str | None
    """The export that was named; None: none."""


class CheckRecords:
    """The client. All methods raise Unavailable if credentials does not answer."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = AccessCheckServiceStub(channel)

    async def list_due(self, *, checked_before: datetime, limit: int) -> list[DueCredentials]:
        """The clouds' credentials that were last checked before a time, or never; the longest unchecked first."""
        request = messages.ListDueAccessChecksRequest(checked_before=to_timestamp(checked_before), page_size=limit)
        return [_to_due(one) for one in (await self._stub.ListDueAccessChecks(request)).due]

    async def record(self, checked: Sequence[CheckedCredentials]) -> None:
        """Records results. Of credentials that were set meanwhile, nothing is recorded."""
        request = messages.RecordAccessChecksRequest(results=[_to_result(one) for one in checked])
        await self._stub.RecordAccessChecks(request)


def _to_due(due: messages.DueAccessCheck) -> DueCredentials:
    sealed = SealedCredential(
        tenant_id=due.tenant_id,
        provider=due.provider,
        credential_id=due.credential_id,
        ciphertext=due.encrypted_credentials,
        set_at=to_datetime(due.set_at),
        key_version=due.kms_key_version or None,
    )
    return DueCredentials(sealed=sealed, last_status=due.access_status, export=due.access_export or None)


def _to_result(checked: CheckedCredentials) -> messages.AccessCheckResult:
    return messages.AccessCheckResult(
        tenant_id=checked.sealed.tenant_id,
        provider=checked.sealed.provider,
        set_at=to_timestamp(checked.sealed.set_at),
        checked_at=to_timestamp(checked.checked_at),
        access_status=checked.report.verdict,
        access_problem=checked.report.problem or "",
        access_export=(checked.export if checked.report.verdict is AccessVerdict.WORKS else None) or "",
    )
