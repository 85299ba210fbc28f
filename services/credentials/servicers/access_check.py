"""AccessCheckService, for the executor: decode, call the domain, encode."""

from typing import Any

import grpc
from convergence.credentials.v1 import access_check_service_pb2 as messages
from convergence.credentials.v1.access_check_service_pb2_grpc import AccessCheckServiceServicer

from services.credentials.access_checks import MAX_CHECKS, CheckResult, DueCheck
from services.credentials.providers import to_provider
from services.credentials.store import CredentialStore
from services.platform.errors import InvalidArgument
from services.platform.timestamps import to_datetime, to_timestamp

type Context = grpc.aio.ServicerContext[Any, Any]

STATUSES = ("WORKS", "LACKS", "REFUSED", "OPEN", "UNKNOWN")


class AccessCheckServicer(AccessCheckServiceServicer):
    """AccessCheckService, as the proto describes it."""

    def __init__(self, store: CredentialStore) -> None:
        self._store = store

    async def ListDueAccessChecks(
        self, request: messages.ListDueAccessChecksRequest, context: Context
    ) -> messages.ListDueAccessChecksResponse:
        """Raises InvalidArgument, Unavailable."""
        if not 1 <= request.page_size <= MAX_CHECKS:
            raise InvalidArgument("page_size", f"use 1 to {MAX_CHECKS}.")
        due = await self._store.list_due_checks(checked_before=to_datetime(request.checked_before), limit=request.page_size)
        return messages.ListDueAccessChecksResponse(due=map(_to_proto, due))

    async def RecordAccessChecks(
        self, request: messages.RecordAccessChecksRequest, context: Context
    ) -> messages.RecordAccessChecksResponse:
        """Raises InvalidArgument, Unavailable."""
        if len(request.results) > MAX_CHECKS:
            raise InvalidArgument("results", f"send at most {MAX_CHECKS} at once.")
        await self._store.record_checks([_to_result(one, f"results[{place}]") for place, one in enumerate(request.results)])
        return messages.RecordAccessChecksResponse()


def _to_proto(due: DueCheck) -> messages.DueAccessCheck:
    return messages.DueAccessCheck(
        credential_id=due.credential_id,
        tenant_id=due.tenant_id,
        provider=due.provider,
        encrypted_credentials=due.encrypted_credentials,
        set_at=to_timestamp(due.set_at),
        access_status=due.access_status or "",
        access_export=due.access_export or "",
        kms_key_version=due.kms_key_version or "",
    )


def _to_result(result: messages.AccessCheckResult, path: str) -> CheckResult:
    if result.access_status not in STATUSES:
        raise InvalidArgument(f"{path}.access_status", f"use one of {', '.join(STATUSES)}.")
    return CheckResult(
        tenant_id=result.tenant_id,
        provider=to_provider(result.provider),
        set_at=to_datetime(result.set_at),
        checked_at=to_datetime(result.checked_at),
        access_status=result.access_status,
        access_problem=result.access_problem,
        access_export=result.access_export,
    )
