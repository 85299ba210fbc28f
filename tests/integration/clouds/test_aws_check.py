"""What a check of AWS finds, at an emulator that is as strict as AWS."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from localcloud.aws.account import ACCOUNT, trust_of_issuer
from services.clouds.access import CloudEndpoints, TokenOf
from services.clouds.checks import check_access
from services.clouds.findings import AccessReport, AccessVerdict, FindingStatus
from services.clouds.probes import probe_subjects
from services.platform.errors import InvalidArgument
from tests.support.aws import AUDIENCE, AwsAccount, trust_of_user
from tests.support.oidc_issuer import LocalIssuer, local_issuer

MONTH = date(2026, 10, 1)
BETWEEN = "_______________convergence_probe_______________"
OK, MISSING, OPEN, UNKNOWN = FindingStatus
NO_GET = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}]}
NOTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]}


@pytest.fixture(scope="module")
def account(aws_emulator: str) -> AwsAccount:
    """One bucket with one export; users and roles are each test's own."""
    account = AwsAccount(url=aws_emulator)
    account.put_export(MONTH, {"part-1.parquet": b"PAR1"})
    return account


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with local_issuer() as issuer:
        yield issuer


def statuses(report: AccessReport) -> dict[str, FindingStatus]:
    return {finding.name: finding.status for finding in report.findings}


def about(issuer: LocalIssuer, subject: str) -> TokenOf:
    return lambda audience: issuer.token(subject=subject, audience=audience, now=datetime.now(UTC))


def probes(issuer: LocalIssuer, tenant_id: str) -> dict[str, TokenOf]:
    return {subject: about(issuer, subject) for subject in probe_subjects(tenant_id)}


def checked(
    account: AwsAccount, credentials: Mapping[str, str], export: str | None = None, issuer: LocalIssuer | None = None
) -> AccessReport:
    access = account.access(credentials)
    if issuer:
        access = replace(access, token_of=about(issuer, "acme_corp"), probes=probes(issuer, "acme_corp"))
    return check_access(access, export)


def test_a_key_that_reads_the_export_works(account: AwsAccount) -> None:
    report = checked(account, account.user(), str(account.location()))
    assert report.verdict is AccessVerdict.WORKS
    assert statuses(report) == {"access key": OK, "s3:ListBucket": OK, "s3:GetObject": OK}
    assert statuses(checked(account, account.user())) == {"access key": OK}


@pytest.mark.parametrize(
    ("change", "words"),
    [({"access_key_id": "AKIA0000000000000000"}, "does not know the access key"), ({"secret_access_key": "0" * 40}, "secret access key")],
)
def test_a_key_that_aws_does_not_know_is_refused(account: AwsAccount, change: dict[str, str], words: str) -> None:
    report = checked(account, account.user() | change, str(account.location()))
    assert (report.verdict, statuses(report)) == (AccessVerdict.REFUSED, {"access key": MISSING})
    assert words in (report.problem or "")
    assert not [value for value in change.values() if value in repr(report)]


@pytest.mark.parametrize(
    ("policy", "found", "words"),
    [
        (NOTHING, {"s3:ListBucket": MISSING, "s3:GetObject": UNKNOWN}, "forbids these credentials s3:ListBucket"),
        (NO_GET, {"s3:ListBucket": OK, "s3:GetObject": MISSING}, "forbids these credentials s3:GetObject"),
    ],
)
def test_what_a_policy_does_not_allow_is_named(
    account: AwsAccount, policy: Mapping[str, Any], found: dict[str, FindingStatus], words: str
) -> None:
    report = checked(account, account.user(policy), str(account.location()))
    assert (report.verdict, statuses(report)) == (AccessVerdict.LACKS, {"access key": OK, **found})
    assert words in (report.problem or "")


@pytest.mark.parametrize(
    ("export", "words"),
    [("s3://{bucket}/billing/other", "up to 24 hours"), ("s3://no-such-bucket-at-all/billing/focus", "There is no bucket")],
)
def test_an_export_that_is_not_there_is_missing(account: AwsAccount, export: str, words: str) -> None:
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    report = checked(account, account.user(everything), export.format(bucket=account.bucket))
    assert (report.verdict, report.names(MISSING)) == (AccessVerdict.LACKS, ["export"])
    assert words in (report.problem or "")


def test_a_legacy_report_and_an_empty_file_can_be_read(account: AwsAccount) -> None:
    account.put("billing/report/20261001-20261101/report-Manifest.json", b"")
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    assert checked(account, account.user(everything), f"s3://{account.bucket}/billing/report").verdict is AccessVerdict.WORKS


def test_a_location_that_is_none_is_refused_before_any_call(account: AwsAccount) -> None:
    for export in ("account/container/name", "s3://UPPER/x", "s3://bucket"):
        with pytest.raises(InvalidArgument) as refused:
            checked(account, account.user(), export)
        assert refused.value.field == "export"


def test_a_role_of_a_key_is_open_if_the_external_id_is_not_demanded(account: AwsAccount) -> None:
    user = account.user(NOTHING)
    trusts = {given: account.role(trust_of_user(user["access_key_id"], account, external_id=given)) for given in (None, "ours-1")}

    closed = checked(account, {**user, "role_arn": trusts["ours-1"], "external_id": "ours-1"}, str(account.location()))
    assert closed.verdict is AccessVerdict.WORKS
    assert statuses(closed) == {"sts:AssumeRole": OK, "Trust policy": OK, "s3:ListBucket": OK, "s3:GetObject": OK}

    opened = checked(account, {**user, "role_arn": trusts[None], "external_id": "ours-1"})
    assert (opened.verdict, opened.names(OPEN)) == (AccessVerdict.OPEN, ["Trust policy"])
    assert "without the external id" in (opened.problem or "")

    refused = checked(account, {**user, "role_arn": trusts["ours-1"], "external_id": "theirs"})
    assert (refused.verdict, statuses(refused)) == (AccessVerdict.REFUSED, {"sts:AssumeRole": MISSING})
    assert statuses(checked(account, {**user, "role_arn": str(trusts[None])})) == {"sts:AssumeRole": OK}


def federated(account: AwsAccount, issuer: LocalIssuer, trust: Mapping[str, Any] | None = None) -> dict[str, str]:
    host = issuer.url.split("//")[1]
    if not any(host in one["Arn"] for one in account.iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]):
        account.provider(issuer.url)
    return {"role_arn": account.role(trust or trust_of_issuer(issuer.url, AUDIENCE, "acme_corp"))}


def test_a_role_that_trusts_the_tenant_alone_works(account: AwsAccount, issuer: LocalIssuer) -> None:
    report = checked(account, federated(account, issuer), str(account.location()), issuer)
    assert report.verdict is AccessVerdict.WORKS
    assert statuses(report) == {"sts:AssumeRoleWithWebIdentity": OK, "Trust policy": OK, "s3:ListBucket": OK, "s3:GetObject": OK}


@pytest.mark.parametrize(
    ("condition", "subject"),
    [
        ({"StringEquals": {"aud": AUDIENCE}}, "convergence-probe"),
        ({}, "convergence-probe"),
        ({"StringLike": {"sub": "*"}}, "convergence-probe"),
        ({"StringNotEquals": {"sub": "umbrella"}}, "convergence-probe"),
        ({"StringNotEquals": {"sub": "convergence-probe"}}, f"acme_corp{BETWEEN}acme_corp"),
        ({"StringLike": {"sub": "acme_*"}}, f"acme_corp{BETWEEN}acme_corp"),
        ({"StringLike": {"sub": ["umbrella", "a*corp"]}}, f"acme_corp{BETWEEN}acme_corp"),
        ({"StringLike": {"sub": "acme_cor?"}}, "acme_cor-"),
        ({"StringLike": {"sub": "?cme_corp"}}, "-cme_corp"),
    ],
)
def test_a_role_that_others_subjects_could_assume_is_open(
    account: AwsAccount, issuer: LocalIssuer, condition: Mapping[str, Mapping[str, str]], subject: str
) -> None:
    trust = trust_of_issuer(issuer.url, AUDIENCE, "acme_corp")
    host = issuer.url.split("//")[1]
    trust["Statement"][0]["Condition"] = {
        operator: {f"{host}:{name}": value for name, value in keys.items()} for operator, keys in condition.items()
    }
    report = checked(account, federated(account, issuer, trust), str(account.location()), issuer)
    assert (report.verdict, report.names(OPEN)) == (AccessVerdict.OPEN, ["Trust policy"])
    assert f"can be assumed with this installation's token about {subject}, so" in (report.problem or "")


def test_what_an_owner_lists_by_name_is_not_found(account: AwsAccount, issuer: LocalIssuer) -> None:
    trust = trust_of_issuer(issuer.url, AUDIENCE, "acme_corp")
    trust["Statement"][0]["Condition"]["StringEquals"][f"{issuer.url.split('//')[1]}:sub"] = ["acme_corp", "umbrella"]
    report = checked(account, federated(account, issuer, trust), None, issuer)
    assert report.verdict is AccessVerdict.WORKS
    [message] = [finding.message for finding in report.findings if finding.name == "Trust policy"]
    assert message == "No identity token about another subject that resembles this tenant's was let in."


def test_another_tenant_s_role_lets_this_one_not_in(account: AwsAccount, issuer: LocalIssuer) -> None:
    theirs = federated(account, issuer, trust_of_issuer(issuer.url, AUDIENCE, "other_corp"))
    report = checked(account, theirs, str(account.location()), issuer)
    assert (report.verdict, statuses(report)) == (AccessVerdict.REFUSED, {"sts:AssumeRoleWithWebIdentity": MISSING})
    nowhere = checked(account, {"role_arn": f"arn:aws:iam::{ACCOUNT}:role/not-there"}, None, issuer)
    assert nowhere.verdict is AccessVerdict.REFUSED


def test_an_aws_that_does_not_answer_refuses_nothing(account: AwsAccount) -> None:
    access = replace(account.access(account.user()), endpoints=CloudEndpoints(aws="http://127.0.0.1:1"))
    report = check_access(access, None)
    assert (report.verdict, report.problem) == (AccessVerdict.UNKNOWN, None)
