"""AccessService: decode, call the domain, encode."""

from typing import Any, Final

import grpc
import structlog
from convergence.executor.v1 import access_service_pb2 as messages
from convergence.executor.v1.access_service_pb2_grpc import AccessServiceServicer

from services.clouds.check_pool import CheckPool
from services.clouds.checks import CHECKS
from services.clouds.findings import AccessVerdict
from services.executor.access.canary import AccessCanary
from services.executor.access.checker import AccessChecker
from services.executor.access.records import CheckedCredentials, CheckRecords
from services.executor.sources.credentials import SealedCredentials
from services.platform.clock import Clock
from services.platform.errors import Internal, InvalidArgument, Unavailable

type Context = grpc.aio.ServicerContext[Any, Any]

MAX_EXPORT: Final = 1_500
"""Characters of an export's location: a bucket, a key of 1,024 bytes, and more."""
_log = structlog.get_logger()


class AccessServicer(AccessServiceServicer):
    """AccessService, as the proto describes it."""

    def __init__(
        self,
        *,
        sealed: SealedCredentials,
        checker: AccessChecker,
        pool: CheckPool,
        records: CheckRecords,
        canary: AccessCanary,
        clock: Clock,
    ) -> None:
        self._sealed, self._checker, self._pool = sealed, checker, pool
        self._records, self._canary, self._clock = records, canary, clock

    async def CheckCredentials(self, request: messages.CheckCredentialsRequest, context: Context) -> messages.CheckCredentialsResponse:
        """Raises InvalidArgument, FailedPrecondition (CREDENTIALS_MISSING), ResourceExhausted (CHECK_RUNNING), Unavailable, Internal."""
        provider = request.provider.upper()
        if provider not in CHECKS:
            raise InvalidArgument("provider", f"must be {', '.join(CHECKS)}, in either case.")
        if len(request.export) > MAX_EXPORT:
            raise InvalidArgument("export", f"use at most {MAX_EXPORT} characters.")
        sealed = await self._sealed.get(request.tenant_id, provider)
        report = await self._checker.check(sealed, request.export or None, self._pool)
        # What is lacking may be a matter of the export that was named; whether we are let in is not.
        if sealed.set_at and not (request.export and report.verdict is AccessVerdict.LACKS):
            await self._record(
                CheckedCredentials(sealed=sealed, report=report, checked_at=self._clock.now(), export=request.export or None)
            )
        return messages.CheckCredentialsResponse(
            tenant_id=request.tenant_id,
            provider=provider,
            verdict=report.verdict,
            findings=[messages.AccessFinding(name=one.name, status=one.status, message=one.message) for one in report.findings],
        )

    async def CheckStoredCredentials(
        self, request: messages.CheckStoredCredentialsRequest, context: Context
    ) -> messages.CheckStoredCredentialsResponse:
        """A part of the nightly check. Raises Unavailable, Internal."""
        counts = await self._canary.check_due()
        return messages.CheckStoredCredentialsResponse(
            checked_count=counts.checked,
            working_count=counts.working,
            stopped_count=counts.stopped,
            unanswered_count=counts.unanswered,
            is_done=counts.is_done,
        )

    async def _record(self, checked: CheckedCredentials) -> None:
        try:
            await self._records.record([checked])
        except (Unavailable, Internal):  # e.g. an older credentials service; the caller has the report
            _log.warning("access_check_not_recorded", tenant_id=checked.sealed.tenant_id, provider=checked.sealed.provider)
