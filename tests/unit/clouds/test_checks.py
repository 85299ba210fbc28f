"""How a check runs: in time, in threads, of a tenant one at a time."""

import asyncio
import threading
from collections.abc import Callable, Generator

import pytest

from services.clouds.access import AccessRefused, CloudEndpoints, TenantAccess, no_token
from services.clouds.check_pool import CheckPool, CheckStopped
from services.clouds.checks import CHECK_SECONDS, CHECKS, AccessCheck, check_access
from services.clouds.findings import AccessReport, AccessVerdict, Finding, FindingStatus
from services.platform.errors import InvalidArgument, ResourceExhausted, Unavailable

ENTERED = Finding(name="key", status=FindingStatus.OK, message="Accepted.", is_entrance=True)
READS = Finding(name="read", status=FindingStatus.OK, message="Granted.")


def access(tenant_id: str = "acme", provider: str = "GCP", plaintext: bytes = b"{}") -> TenantAccess:
    return TenantAccess(
        tenant_id=tenant_id, provider=provider, plaintext=plaintext, session="s", endpoints=CloudEndpoints(), token_of=no_token
    )


@pytest.fixture
def with_check(monkeypatch: pytest.MonkeyPatch) -> Callable[[AccessCheck], None]:
    """Puts a check in the place of Google Cloud's."""
    return lambda check: monkeypatch.setitem(CHECKS, "GCP", lambda: check)


def test_a_cloud_that_falls_silent_is_no_refusal(with_check: Callable[[AccessCheck], None]) -> None:
    def silent(_: TenantAccess, __: str | None) -> Generator[Finding]:
        yield ENTERED
        raise AccessRefused("It did not answer.", is_retryable=True)

    with_check(silent)
    report = check_access(access(), None)
    assert report.verdict is AccessVerdict.UNKNOWN
    assert [finding.status for finding in report.findings] == [FindingStatus.OK, FindingStatus.UNKNOWN]


def test_credentials_that_cannot_be_used_are_refused(with_check: Callable[[AccessCheck], None]) -> None:
    def unusable(_: TenantAccess, __: str | None) -> Generator[Finding]:
        if access().plaintext:
            raise AccessRefused("Set the credentials again.")
        yield ENTERED

    with_check(unusable)
    report = check_access(access(), None)
    assert (report.verdict, report.problem) == (AccessVerdict.REFUSED, "Set the credentials again.")


def test_a_check_ends_with_its_time_and_closes_what_it_opened(with_check: Callable[[AccessCheck], None]) -> None:
    closed = list[bool]()

    def slow(_: TenantAccess, __: str | None) -> Generator[Finding]:
        try:
            yield ENTERED
            yield READS
        finally:
            closed.append(True)

    with_check(slow)
    moments = iter([0.0, 1.0, CHECK_SECONDS + 1.0])
    report = check_access(access(), None, monotonic=lambda: next(moments))
    assert (report.findings, report.is_complete, closed) == ((ENTERED, READS), False, [True])


@pytest.mark.parametrize("export", ["table", "a.b.c.d", "a.b;DROP", "s3://bucket/key"])
def test_an_export_that_is_no_table_is_refused_before_any_call(export: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_access(access(), export)
    assert refused.value.field == "export"


class Held:
    """A check that goes on until the test lets go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self.stopped = threading.Event()

    def __call__(self, _: TenantAccess, __: str | None, check_cancelled: Callable[[], None]) -> AccessReport:
        self.begun.release()
        self.go.wait(20)
        try:
            check_cancelled()
        except CheckStopped:
            self.stopped.set()
            raise
        return AccessReport(findings=(ENTERED,))

    async def has_begun(self) -> None:
        await asyncio.to_thread(self.begun.acquire)


async def test_a_tenant_has_one_check_at_a_time() -> None:
    held = Held()
    async with CheckPool(threads=2, checking=held) as pool:
        first = asyncio.create_task(pool.check(access(), None))
        await held.has_begun()
        with pytest.raises(ResourceExhausted) as refused:
            await pool.check(access(provider="AWS"), None)
        other = asyncio.create_task(pool.check(access("umbrella"), None))
        await held.has_begun()
        held.go.set()
        assert [one.verdict for one in await asyncio.gather(first, other)] == [AccessVerdict.WORKS] * 2
        assert (refused.value.reason, refused.value.retry_after is not None) == ("CHECK_RUNNING", True)
        assert (await pool.check(access(), None)).verdict is AccessVerdict.WORKS


async def test_a_caller_that_goes_leaves_its_place_taken_until_the_thread_has_ended() -> None:
    held = Held()
    async with CheckPool(threads=1, checking=held) as pool:
        gone = asyncio.create_task(pool.check(access(), None))
        await held.has_begun()
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        with pytest.raises(ResourceExhausted):
            await pool.check(access(), None)
        held.go.set()
        assert await asyncio.to_thread(held.stopped.wait, 20)


async def test_checks_that_would_wait_too_long_are_refused() -> None:
    held = Held()
    async with CheckPool(threads=1, is_one_a_tenant=False, checking=held) as pool:
        waiting = [asyncio.create_task(pool.check(access(), None)) for _ in range(5)]
        await held.has_begun()
        with pytest.raises(Unavailable):
            await pool.check(access(), None)
        held.go.set()
        assert len(await asyncio.gather(*waiting)) == 5
