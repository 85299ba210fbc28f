"""The nightly check: what is due, in which order, for how long, and what it reports."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from services.clouds.findings import AccessReport, AccessVerdict, Finding, FindingStatus
from services.executor.access.canary import FRESH, AccessCanary, has_stopped
from services.executor.access.records import CheckedCredentials, DueCredentials
from services.executor.sources.credentials import SealedCredential
from services.platform.errors import Internal, InvalidArgument, Unavailable
from services.platform.kms.connection import KeyVersionUnusable

NOW = datetime(2026, 11, 26, 1, tzinfo=UTC)
WORKS = AccessReport(findings=(Finding(name="key", status=FindingStatus.OK, message="Accepted.", is_entrance=True),))
REFUSED = AccessReport(findings=(Finding(name="key", status=FindingStatus.MISSING, message="Make a new key.", is_entrance=True),))
SILENT = AccessReport(findings=(), is_complete=False)


@dataclass(kw_only=True)
class Stored:
    """The credentials service's table, as its statements have it."""

    status: dict[str, str]
    checked_at: dict[str, datetime] = field(default_factory=dict)
    statements: list[int] = field(default_factory=list)
    exports: dict[str, str] = field(default_factory=dict)

    async def list_due(self, *, checked_before: datetime, limit: int) -> list[DueCredentials]:
        start = datetime.min.replace(tzinfo=UTC)
        due = [name for name in self.status if self.checked_at.get(name, start) < checked_before]
        due.sort(key=lambda name: (self.checked_at.get(name, start), name))
        return [DueCredentials(sealed=sealed(name), last_status=self.status[name], export=self.exports.get(name)) for name in due[:limit]]

    async def record(self, checked: list[CheckedCredentials]) -> None:
        self.statements.append(len(checked))
        for one in checked:
            name = one.sealed.tenant_id
            self.checked_at[name] = one.checked_at
            if one.report.verdict is not AccessVerdict.UNKNOWN:
                self.status[name] = one.report.verdict


def sealed(tenant_id: str) -> SealedCredential:
    return SealedCredential(tenant_id=tenant_id, provider="GCP", credential_id="c", ciphertext=b"", set_at=NOW)


class Cloud:
    """What checks find, by tenant; None: working."""

    def __init__(self, **found: AccessReport | Exception) -> None:
        self.found, self.seen, self.exports = found, list[str](), dict[str, str | None]()
        self.running = self.most = 0
        self.on_check: Callable[[], None] = lambda: None

    async def check(self, credential: SealedCredential, export: str | None, pool: object) -> AccessReport:
        self.exports[credential.tenant_id] = export
        self.seen.append(credential.tenant_id)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        self.on_check()
        found = self.found.get(credential.tenant_id, WORKS)
        if isinstance(found, Exception):
            raise found
        return found


class Clock:
    def now(self) -> datetime:
        return NOW


def canary(stored: Stored, cloud: Cloud, *, at_once: int = 2, monotonic: Callable[[], float] = lambda: 0.0) -> AccessCanary:
    rest: Any = {"records": stored, "checker": cloud, "pool": None}
    return AccessCanary(clock=Clock(), at_once=at_once, seconds=20.0, monotonic=monotonic, **rest)


async def test_everything_due_is_checked_once_the_longest_unchecked_first_a_statement_a_page() -> None:
    stored = Stored(status={f"t{number}": "WORKS" for number in range(10)})
    stored.checked_at = {f"t{number}": NOW - timedelta(days=1, hours=number) for number in range(8)} | {"t8": NOW - FRESH}
    cloud, stored.exports = Cloud(), {"t3": "billing.export"}

    counts = await canary(stored, cloud).check_due()

    assert (cloud.exports["t3"], cloud.exports["t4"]) == ("billing.export", None)
    assert cloud.seen == ["t9", *(f"t{number}" for number in reversed(range(8)))]
    assert stored.statements == [4, 4, 1]
    assert cloud.most == 2
    assert (counts.checked, counts.working, counts.stopped, counts.is_done) == (9, 9, 0, True)
    assert (await canary(stored, cloud).check_due()).checked == 0


async def test_a_call_that_runs_out_of_time_is_continued_by_the_next() -> None:
    stored, cloud, now = Stored(status={f"t{number}": "" for number in range(10)}), Cloud(), [0.0]

    def pass_time() -> None:
        now[0] += 4.5

    cloud.on_check = pass_time
    first = await canary(stored, cloud, monotonic=lambda: now[0]).check_due()
    assert (first.is_done, 4 <= first.checked < 10, sum(stored.statements)) == (False, True, first.checked)
    cloud.on_check = lambda: None
    second = await canary(stored, cloud, monotonic=lambda: now[0]).check_due()
    assert (second.is_done, first.checked + second.checked) == (True, 10)
    assert sorted(cloud.seen) == sorted(stored.status)


async def test_access_that_has_stopped_working_is_reported_once() -> None:
    stored = Stored(status={"acme": "WORKS", "broken": "REFUSED", "new": "", "silent": "WORKS"})
    cloud = Cloud(acme=REFUSED, broken=REFUSED, new=REFUSED, silent=SILENT)

    with structlog.testing.capture_logs() as logs:
        counts = await canary(stored, cloud).check_due()

    assert (counts.checked, counts.working, counts.stopped, counts.unanswered) == (4, 0, 1, 1)
    stopped = [line for line in logs if line["event"] == "access_stopped_working"]
    assert [(line["tenant_id"], line["verdict"], line["problem"]) for line in stopped] == [("acme", "REFUSED", "Make a new key.")]
    assert stored.status == {"acme": "REFUSED", "broken": "REFUSED", "new": "REFUSED", "silent": "WORKS"}


async def test_one_tenants_trouble_is_not_that_of_others() -> None:
    stored = Stored(status={"acme": "WORKS", "bug": "WORKS", "moved": "WORKS"})
    cloud = Cloud(bug=RuntimeError("a bug"), moved=Internal("SEAL_BROKEN", "It does not open."))

    with structlog.testing.capture_logs() as logs:
        counts = await canary(stored, cloud).check_due()

    assert (counts.checked, counts.working, counts.unanswered, counts.stopped) == (3, 1, 1, 1)
    assert stored.status == {"acme": "WORKS", "bug": "WORKS", "moved": "REFUSED"}
    assert {line["event"] for line in logs} == {"access_check_failed", "access_stopped_working"}


@pytest.mark.parametrize("error", [Unavailable("KMS_UNAVAILABLE", "Wait."), Internal("KMS_KEY_UNUSABLE", "The operator's.")])
async def test_what_concerns_all_ends_the_call(error: Exception) -> None:
    stored = Stored(status={"acme": "WORKS"})
    with pytest.raises(type(error)):
        await canary(stored, Cloud(acme=error)).check_due()
    assert stored.statements == []


async def test_a_disabled_version_of_the_key_concerns_those_alone_that_it_encrypted() -> None:
    """What is known of their access stays, because the operator may enable it again; KMS's refusal is logged where it is heard."""
    stored = Stored(status={"acme": "WORKS", "old": "WORKS"})
    with structlog.testing.capture_logs() as logs:
        counts = await canary(stored, Cloud(old=KeyVersionUnusable("KMS_KEY_UNUSABLE", "The operator's."))).check_due()
    assert (counts.checked, counts.working, counts.unanswered, counts.stopped) == (2, 1, 1, 0)
    assert (stored.status, logs) == ({"acme": "WORKS", "old": "WORKS"}, [])


async def test_an_export_that_is_no_location_any_more_is_one_tenants_trouble() -> None:
    stored = Stored(status={"acme": "WORKS"})
    counts = await canary(stored, Cloud(acme=InvalidArgument("export", "is none."))).check_due()
    assert (counts.unanswered, stored.status) == (1, {"acme": "WORKS"})


@pytest.mark.parametrize(
    ("last", "verdict", "stopped"),
    [("WORKS", "LACKS", True), ("WORKS", "OPEN", True), ("WORKS", "WORKS", False), ("WORKS", "UNKNOWN", False), ("", "REFUSED", False)],
)
def test_only_what_worked_can_stop(last: str, verdict: str, stopped: bool) -> None:
    assert has_stopped(last, AccessVerdict(verdict)) is stopped


async def test_two_at_once_do_no_harm() -> None:
    """As a job that is delivered twice: some credentials are checked twice, all are, and what was found is the same."""
    stored = Stored(status={f"t{number}": "WORKS" for number in range(12)})
    cloud = Cloud(t3=REFUSED)
    both = await asyncio.gather(canary(stored, cloud).check_due(), canary(stored, cloud).check_due())
    assert all(counts.is_done for counts in both)
    assert set(cloud.seen) == set(stored.status)
    assert {name for name, status in stored.status.items() if status != "WORKS"} == {"t3"}
