"""Checks all stored credentials in calls of limited time. Those that were not checked for the longest time come first.

Each call of the nightly job checks as many as its time allows, page by page, and records each page with one statement; the next call
continues with what is still due. So a call that is interrupted loses one page, and two concurrent calls check some credentials twice.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import structlog

from services.clouds.check_pool import CheckPool
from services.clouds.findings import AccessReport, AccessVerdict, Finding, FindingStatus
from services.executor.access.checker import AccessChecker
from services.executor.access.records import MAX_PAGE, CheckedCredentials, CheckRecords, DueCredentials
from services.executor.sources.credentials import SealedCredential
from services.platform import metrics
from services.platform.clock import Clock
from services.platform.errors import Internal, Unavailable
from services.platform.kms.connection import KeyVersionUnusable

FRESH: Final = timedelta(hours=20)
"""Credentials that were checked more recently than this are not due. So each night's job checks all credentials once."""
PAGES_A_THREAD: Final = 2
"""Credentials of a page for each check at once: some clouds answer later than others."""

UNANSWERED: Final = AccessReport(findings=(), is_complete=False)
UNREADABLE: Final = AccessReport(
    findings=(
        Finding(
            name="credentials",
            status=FindingStatus.MISSING,
            message="The stored credentials cannot be decrypted any more. Set them again.",
            is_entrance=True,
        ),
    )
)

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class CanaryCounts:
    """What one call has done."""

    checked: int = 0
    working: int = 0
    stopped: int = 0
    """Credentials that worked at their last check and no longer work."""
    unanswered: int = 0
    is_done: bool = False
    """True: nothing is due any more."""


def has_stopped(last_status: str, verdict: AccessVerdict) -> bool:
    """True if access that worked when it was last checked works no longer. Pure."""
    return last_status == AccessVerdict.WORKS and verdict not in {AccessVerdict.WORKS, AccessVerdict.UNKNOWN}


def concerns_all(error: Exception) -> bool:
    """True if other credentials could not be checked either: KMS or a service does not answer, or the key may not be used. A disabled
    version of the key concerns only the credentials that it encrypted. Pure.
    """
    if isinstance(error, KeyVersionUnusable):
        return False
    return isinstance(error, Unavailable) or (isinstance(error, Internal) and error.reason == "KMS_KEY_UNUSABLE")


class AccessCanary:
    """Finds access that has stopped working before a run does."""

    def __init__(  # noqa: PLR0913 - what it reads, checks and records with, and its limits
        self,
        *,
        records: CheckRecords,
        checker: AccessChecker,
        pool: CheckPool,
        clock: Clock,
        at_once: int,
        seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`pool` has `at_once` threads of its own, so that tenants' own checks do not wait. A call begins no check after `seconds`."""
        self._records, self._checker, self._pool, self._clock = records, checker, pool, clock
        self._slots = asyncio.Semaphore(at_once)
        self._page = min(MAX_PAGE, at_once * PAGES_A_THREAD)
        self._seconds, self._monotonic = seconds, monotonic

    async def check_due(self) -> CanaryCounts:
        """Checks what is due, until nothing is or the time is over. Raises Unavailable, Internal (KMS_KEY_UNUSABLE); what was recorded
        until then stays.
        """
        until, checked_before, counts = self._monotonic() + self._seconds, self._clock.now() - FRESH, CanaryCounts()
        while self._monotonic() < until:
            page = await self._records.list_due(checked_before=checked_before, limit=self._page)
            checked = [one for one in await asyncio.gather(*(self._check(due, until) for due in page)) if one is not None]
            if checked:
                await self._records.record(checked)
            counts = _plus(counts, checked, {_key(due.sealed): due.last_status for due in page})
            if len(checked) == len(page) < self._page:
                return replace(counts, is_done=True)
        return counts

    async def _check(self, due: DueCredentials, until: float) -> CheckedCredentials | None:
        """None: not begun in time."""
        async with self._slots:
            if self._monotonic() >= until:
                return None
            try:
                report = await self._checker.check(due.sealed, due.export, self._pool)
            except Exception as error:
                if concerns_all(error):
                    raise
                report = UNREADABLE if isinstance(error, Internal) and error.reason == "SEAL_BROKEN" else UNANSWERED
                if report is UNANSWERED and not isinstance(error, KeyVersionUnusable):  # that is logged where KMS refuses
                    _log.exception("access_check_failed", tenant_id=due.sealed.tenant_id, provider=due.sealed.provider)
            return CheckedCredentials(sealed=due.sealed, report=report, checked_at=self._clock.now(), export=due.export)


def _plus(counts: CanaryCounts, checked: Iterable[CheckedCredentials], last: Mapping[tuple[str, str], str]) -> CanaryCounts:
    """Counts what was checked, and reports access that has stopped working."""
    for one in checked:
        verdict, provider = one.report.verdict, one.sealed.provider
        stopped = has_stopped(last[_key(one.sealed)], verdict)
        metrics.ACCESS_CHECKS.labels(provider, verdict).inc()
        if stopped:
            metrics.ACCESS_STOPPED.labels(provider).inc()
            problem = one.report.problem
            _log.warning("access_stopped_working", tenant_id=one.sealed.tenant_id, provider=provider, verdict=verdict, problem=problem)
        counts = replace(
            counts,
            checked=counts.checked + 1,
            working=counts.working + (verdict is AccessVerdict.WORKS),
            stopped=counts.stopped + stopped,
            unanswered=counts.unanswered + (verdict is AccessVerdict.UNKNOWN),
        )
    return counts


def _key(sealed: SealedCredential) -> tuple[str, str]:
    return sealed.tenant_id, sealed.provider
