"""What a check on request answers, and what of it is recorded."""

from datetime import UTC, datetime
from typing import Any

import pytest
from convergence.executor.v1 import access_service_pb2 as messages

from services.clouds.findings import AccessReport, Finding, FindingStatus
from services.executor.access.canary import CanaryCounts
from services.executor.access.records import CheckedCredentials
from services.executor.servicers.access import MAX_EXPORT, AccessServicer
from services.executor.sources.credentials import SealedCredential
from services.platform.errors import Internal, InvalidArgument, Unavailable

NOW = datetime(2026, 11, 26, tzinfo=UTC)
KEY = Finding(name="access key", status=FindingStatus.OK, message="AWS lets us in with it.", is_entrance=True)
NO_READ = Finding(name="s3:GetObject", status=FindingStatus.MISSING, message="Allow it.")


class Rest:
    """The rest of the executor: credentials that are stored, a check that finds `report`, records, and the nightly check."""

    def __init__(self, *findings: Finding, set_at: datetime | None = NOW, refusal: Exception | None = None) -> None:
        self._report, self._set_at, self._refusal = AccessReport(findings=findings), set_at, refusal
        self.recorded: list[CheckedCredentials] = []
        self.exports: list[str | None] = []

    async def get(self, tenant_id: str, provider: str) -> SealedCredential:
        return SealedCredential(tenant_id=tenant_id, provider=provider, credential_id="c", ciphertext=b"", set_at=self._set_at)

    async def check(self, sealed: SealedCredential, export: str | None, pool: object) -> AccessReport:
        self.exports.append(export)
        return self._report

    async def record(self, checked: list[CheckedCredentials]) -> None:
        if self._refusal:
            raise self._refusal
        self.recorded += checked

    async def check_due(self) -> CanaryCounts:
        return CanaryCounts(checked=3, working=1, stopped=1, unanswered=1, is_done=True)

    def now(self) -> datetime:
        return NOW

    def servicer(self) -> AccessServicer:
        rest: Any = self
        return AccessServicer(sealed=rest, checker=rest, pool=rest, records=rest, canary=rest, clock=rest)

    async def answer(self, provider: str = "aws", export: str = "") -> messages.CheckCredentialsResponse:
        request = messages.CheckCredentialsRequest(tenant_id="acme", provider=provider, export=export)
        none: Any = None
        return await self.servicer().CheckCredentials(request, none)


async def test_the_report_is_answered_and_recorded() -> None:
    rest = Rest(KEY)
    answer = await rest.answer(export="s3://b/p/n")
    assert answer == messages.CheckCredentialsResponse(
        tenant_id="acme",
        provider="AWS",
        verdict="WORKS",
        findings=[messages.AccessFinding(name="access key", status="OK", message="AWS lets us in with it.")],
    )
    assert [(one.sealed.set_at, one.checked_at, one.export) for one in rest.recorded] == [(NOW, NOW, "s3://b/p/n")]


async def test_what_an_export_lacks_is_recorded_only_if_the_caller_has_not_chosen_it() -> None:
    named, unnamed = Rest(KEY, NO_READ), Rest(KEY, NO_READ)
    assert (await named.answer(export="s3://b/p/mistyped")).verdict == "LACKS"
    assert (await unnamed.answer()).verdict == "LACKS"
    assert (named.recorded, len(unnamed.recorded), unnamed.exports) == ([], 1, [None])


@pytest.mark.parametrize("refusal", [Unavailable("BIGQUERY_UNAVAILABLE", "Later."), Internal("INTERNAL", "No such RPC.")])
async def test_a_check_that_cannot_be_recorded_is_answered_all_the_same(refusal: Exception) -> None:
    assert (await Rest(KEY, refusal=refusal).answer()).verdict == "WORKS"
    unknown = Rest(KEY, set_at=None)
    assert ((await unknown.answer()).verdict, unknown.recorded) == ("WORKS", [])


@pytest.mark.parametrize(
    ("provider", "export", "field"), [("slack", "", "provider"), ("oracle", "", "provider"), ("aws", "x" * (MAX_EXPORT + 1), "export")]
)
async def test_bad_input_is_refused_before_anything_is_decrypted(provider: str, export: str, field: str) -> None:
    rest = Rest(KEY)
    with pytest.raises(InvalidArgument) as refused:
        await rest.answer(provider, export)
    assert (refused.value.field, rest.exports) == (field, [])


async def test_the_nightly_check_says_what_it_has_done() -> None:
    none: Any = None
    answer = await Rest().servicer().CheckStoredCredentials(messages.CheckStoredCredentialsRequest(), none)
    assert answer == messages.CheckStoredCredentialsResponse(
        checked_count=3, working_count=1, stopped_count=1, unanswered_count=1, is_done=True
    )
