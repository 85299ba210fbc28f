"""Credentials that are tried before they are stored, and what is kept of later checks."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from convergence.credentials.v1 import access_check_service_pb2 as checks
from convergence.credentials.v1 import credential_pb2
from convergence.credentials.v1 import credential_service_pb2 as messages
from google.protobuf import struct_pb2

from localcloud.aws.account import trust_of_issuer
from services.clouds.access import CloudEndpoints
from services.credentials.access_checks import CheckResult, latest
from services.credentials.issuer.token import IdentityToken
from services.platform.access.caller import Caller, set_caller
from services.platform.errors import ConvergenceError, FailedPrecondition, InvalidArgument, Unavailable
from services.platform.timestamps import to_datetime, to_timestamp
from tests.integration.credentials.conftest import Budget, Suite, Tables
from tests.integration.credentials.test_set_credentials import FIRST, LATER
from tests.support.aws import AUDIENCE, AwsAccount
from tests.support.credentials.samples import AWS, SLACK, Rsa, gcp
from tests.support.fake_google import Answer, FakeGoogle, denied
from tests.support.oidc_issuer import LocalIssuer, local_issuer

PROJECT = "GET projects/acme-gcp-project/datasets"
EXPORT = "billing.gcp_billing_export_v1_01AB23_CD45EF_67GH89"
FAR = timedelta(days=400)


async def store(
    suite: Suite, tenant_id: str, credentials: dict[str, Any], provider: str = "GCP", **asked: Any
) -> messages.SetCredentialsResponse:
    set_caller(Caller(tenant_id=tenant_id, user_id="alice"))
    struct = struct_pb2.Struct()
    struct.update(credentials)
    request = messages.SetCredentialsRequest(tenant_id=tenant_id, provider=provider, credentials=struct, **asked)
    return await suite.servicer.SetCredentials(request, None)


async def listed(suite: Suite, tenant_id: str) -> credential_pb2.Credential:
    [one] = (await suite.servicer.ListCredentials(messages.ListCredentialsRequest(tenant_id=tenant_id), None)).credentials
    return one


async def test_credentials_that_work_are_stored_in_as_many_jobs(credentials: Suite, tenant_id: str, rsa: Rsa) -> None:
    """The result of the check is stored with them; setting them again without a check forgets it."""
    spent = Budget()
    await store(credentials, tenant_id, gcp(rsa), validate=True)
    assert spent.jobs() == FIRST
    known = await listed(credentials, tenant_id)
    assert (known.access_status, known.access_checked_at, known.access_problem) == ("WORKS", known.created_at, "")

    spent = Budget()
    await store(credentials, tenant_id, gcp(rsa, client_id="7"))
    assert spent.jobs() == LATER
    known = await listed(credentials, tenant_id)
    assert (known.access_status, known.HasField("access_checked_at")) == ("", False)

    await store(credentials, tenant_id, gcp(rsa), validate=True)
    known = await listed(credentials, tenant_id)
    assert (known.access_status, known.access_checked_at) == ("WORKS", known.updated_at)


@pytest.mark.parametrize(
    ("google", "export", "kind", "reason", "named"),
    [
        (
            FakeGoogle(answers={PROJECT: denied("Request had invalid authentication credentials.", "authError", 401)}),
            "",
            FailedPrecondition,
            "CREDENTIALS_REFUSED",
            "service account key",
        ),
        (FakeGoogle(answers={}), EXPORT, FailedPrecondition, "ACCESS_LACKING", "export"),
        (
            FakeGoogle(
                answers={
                    f"{PROJECT}/.*": Answer(
                        body={
                            "tableReference": {"projectId": "acme-gcp-project", "datasetId": "billing", "tableId": "t"},
                            "type": "TABLE",
                            "schema": {"fields": [{"name": name, "type": "STRING"} for name in ("cost", "usage_start_time")]},
                        }
                    )
                },
                session=(grpc.StatusCode.UNAVAILABLE, "later"),
            ),
            EXPORT,
            Unavailable,
            "CLOUD_UNAVAILABLE",
            "",
        ),
    ],
)
async def test_what_does_not_work_is_not_stored(
    process: Callable[..., Suite],
    tables: Tables,
    tenant_id: str,
    rsa: Rsa,
    google: FakeGoogle,
    export: str,
    kind: type[ConvergenceError],
    reason: str,
    named: str,
) -> None:
    """Not the row, not the dataset: no statement is sent at all."""
    spent = Budget()
    with google.serving() as endpoints, pytest.raises(kind) as refused:
        await store(process(endpoints=endpoints), tenant_id, gcp(rsa), validate=True, export=export)
    assert (refused.value.reason, refused.value.metadata.get("missing", "")) == (reason, named)
    assert (google.asked != [], spent.jobs(), await tables.stored(tenant_id)) == (True, {}, [])
    assert not [line for line in rsa.pkcs8.splitlines()[:-1] if line in str(refused.value)]


@pytest.mark.parametrize(
    ("provider", "credentials_", "asked", "field"),
    [
        ("SLACK", SLACK, {"validate": True}, "validate"),
        ("AWS", AWS, {"export": "s3://b/p/n"}, "export"),
        ("GCP", None, {"validate": True, "export": "no table"}, "export"),
    ],
)
async def test_what_cannot_be_tried(
    credentials: Suite, tenant_id: str, rsa: Rsa, provider: str, credentials_: Any, asked: dict[str, Any], field: str
) -> None:
    spent = Budget()
    with pytest.raises(InvalidArgument) as refused:
        await store(credentials, tenant_id, credentials_ or gcp(rsa), provider, **asked)
    assert (refused.value.field, spent.jobs()) == (field, {})


def result(tenant_id: str, set_at: datetime, at: datetime, status: str, problem: str = "", export: str = "") -> checks.AccessCheckResult:
    return checks.AccessCheckResult(
        tenant_id=tenant_id,
        provider="GCP",
        set_at=to_timestamp(set_at),
        checked_at=to_timestamp(at),
        access_status=status,
        access_problem=problem,
        access_export=export,
    )


async def test_results_are_kept_for_the_credentials_that_were_checked(credentials: Suite, tenant_id: str, rsa: Rsa) -> None:
    """An older result, one that says nothing, and one for credentials that were replaced meanwhile change nothing."""

    async def record(*results: checks.AccessCheckResult) -> None:
        await credentials.access.RecordAccessChecks(checks.RecordAccessChecksRequest(results=results), None)

    async def due(before: datetime) -> list[Any]:
        found = await credentials.store.list_due_checks(checked_before=before, limit=1_000)
        return [one for one in found if one.tenant_id == tenant_id]

    async def known() -> tuple[str, str, datetime]:
        one = await listed(credentials, tenant_id)
        return one.access_status, one.access_problem, to_datetime(one.access_checked_at)

    now = datetime.now(UTC)
    await store(credentials, tenant_id, gcp(rsa))
    await store(credentials, tenant_id, SLACK, "SLACK")
    [first] = await due(now - FAR)
    assert (first.provider, first.access_status) == ("GCP", None)

    spent = Budget()
    problem = "Make a new key."
    await record(result(tenant_id, first.set_at, now, "REFUSED", problem), result(tenant_id, first.set_at, now - FAR, "WORKS"))
    assert spent.jobs() == {"record_access_checks": 1}
    await credentials.servicer.DeleteCredentials(messages.DeleteCredentialsRequest(tenant_id=tenant_id, provider="SLACK"), None)
    assert await known() == ("REFUSED", problem, now)
    await record(result(tenant_id, first.set_at, now - timedelta(seconds=1), "WORKS"))
    assert await known() == ("REFUSED", problem, now)
    await record(result(tenant_id, first.set_at, now + timedelta(seconds=1), "UNKNOWN"))
    assert await known() == ("REFUSED", problem, now + timedelta(seconds=1))
    assert (await due(now), len(await due(now + FAR))) == ([], 1)

    await record(result(tenant_id, first.set_at, now + timedelta(seconds=2), "WORKS", export="b.export"))
    await record(result(tenant_id, first.set_at, now + timedelta(seconds=3), "LACKS", problem))
    [known_export] = await due(now + FAR)
    assert (known_export.access_export, (await listed(credentials, tenant_id)).access_export) == ("b.export", "b.export")

    await store(credentials, tenant_id, gcp(rsa))
    await record(result(tenant_id, first.set_at, now + FAR, "REFUSED", problem))
    assert (await listed(credentials, tenant_id)).access_status == ""
    [again] = await due(now)
    assert (again.set_at > first.set_at, again.access_export) == (True, None)


async def test_pages_and_results_are_bounded(credentials: Suite, tenant_id: str) -> None:
    before = to_timestamp(datetime.now(UTC))
    for size in (0, 41):
        with pytest.raises(InvalidArgument) as refused:
            await credentials.access.ListDueAccessChecks(checks.ListDueAccessChecksRequest(checked_before=before, page_size=size), None)
        assert refused.value.field == "page_size"
    found = await credentials.access.ListDueAccessChecks(checks.ListDueAccessChecksRequest(checked_before=before, page_size=1), None)
    assert len(found.due) <= 1
    many = [result(tenant_id, datetime.now(UTC), datetime.now(UTC), "WORKS")] * 41
    with pytest.raises(InvalidArgument) as refused:
        await credentials.access.RecordAccessChecks(checks.RecordAccessChecksRequest(results=many), None)
    assert refused.value.field == "results"
    bad = [result(tenant_id, datetime.now(UTC), datetime.now(UTC), "FINE")]
    with pytest.raises(InvalidArgument) as refused:
        await credentials.access.RecordAccessChecks(checks.RecordAccessChecksRequest(results=bad), None)
    assert refused.value.field == "results[0].access_status"


def test_of_two_results_in_one_statement_the_later_counts() -> None:
    now = datetime.now(UTC)

    def one(at: datetime, set_at: datetime = now) -> CheckResult:
        return CheckResult(
            tenant_id="t", provider="GCP", set_at=set_at, checked_at=at, access_status="WORKS", access_problem="", access_export=""
        )

    older, newer, other = one(now - FAR), one(now), one(now - FAR, set_at=now - FAR)
    assert latest([newer, older, other]) == [newer, other] or latest([newer, older, other]) == [other, newer]


class Minting:
    """`TokenIssuer` as far as a check asks it, with the keys of an issuer that serves on this machine."""

    def __init__(self, local: LocalIssuer) -> None:
        self._local = local

    async def mint(self, *, subject: str, audience: str) -> IdentityToken:
        now = datetime.now(UTC)
        token = self._local.token(subject=subject, audience=audience, now=now)
        return IdentityToken(token=token, audience=audience, expires_at=now + timedelta(minutes=10))


async def test_a_role_is_stored_if_it_trusts_the_tenant_alone(
    process: Callable[..., Suite], tables: Tables, tenant_id: str, aws_emulator: str
) -> None:
    """It is tried with identity tokens about the tenant and about no tenant, minted here while the check waits in its thread."""
    account = AwsAccount(url=aws_emulator)
    with local_issuer() as local:
        account.provider(local.url)
        suite = process(issuer=Minting(local), endpoints=CloudEndpoints(aws=aws_emulator))
        trust = trust_of_issuer(local.url, AUDIENCE, tenant_id)
        role = {"role_arn": account.role(trust)}
        condition, subject = trust["Statement"][0]["Condition"], f"{local.url.split('//')[1]}:sub"
        del condition["StringEquals"][subject]
        condition["StringLike"] = {subject: f"{tenant_id[:4]}*"}  # which others' ids may match, and a name that resembles none does not
        opened = {"role_arn": account.role(trust)}

        with pytest.raises(FailedPrecondition) as refused:
            await store(suite, tenant_id, opened, "AWS", validate=True)
        assert (refused.value.reason, refused.value.metadata["open"]) == ("ACCESS_OPEN", "Trust policy")
        assert await tables.stored(tenant_id) == []

        await store(suite, tenant_id, role, "AWS", validate=True)
        assert (await listed(suite, tenant_id)).access_status == "WORKS"
