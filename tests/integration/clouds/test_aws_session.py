"""A tenant's access to AWS, at an emulator that is as strict as AWS: keys, roles, tokens; and nothing of this machine's."""

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.session import Session

from localcloud.aws.account import ACCOUNT, trust_of_issuer
from services.clouds.access import AccessRefused, CloudEndpoints, TokenOf
from services.clouds.aws.location import reader_policy
from services.clouds.aws.refusals import AwsAction, AwsRequest
from services.clouds.aws.session import AwsSession, explained
from tests.support.aws import AUDIENCE, AwsAccount, trust_of_user
from tests.support.oidc_issuer import LocalIssuer, local_issuer

KEY = "billing/focus/metadata/BILLING_PERIOD=2026-10/focus-Manifest.json"
NOTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]}


@pytest.fixture
def account(aws_emulator: str) -> AwsAccount:
    account = AwsAccount(url=aws_emulator)
    account.put(KEY, "{}")
    account.put("billing/other/data.csv", "x")
    return account


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with local_issuer() as issuer:
        yield issuer


def read(session: AwsSession, account: AwsAccount, key: str = KEY) -> bytes:
    """Reads an object as the executor does, with its words for refusals."""
    with explained(AwsRequest(action=AwsAction.READ, bucket=account.bucket, key=key, region="us-east-1")):
        body: bytes = session.s3.get_object(Bucket=account.bucket, Key=key)["Body"].read()
    session.close()
    return body


def refusal(session: AwsSession, account: AwsAccount, key: str = KEY) -> AccessRefused:
    with pytest.raises(AccessRefused) as refused:
        read(session, account, key)
    return refused.value


def tokens(issuer: LocalIssuer, subject: str = "acme_corp", **claims: Any) -> TokenOf:
    def token_of(audience: str) -> str:
        return issuer.token(subject=subject, audience=audience, now=datetime.now(UTC), **claims)

    return token_of


def test_a_key_reads_what_its_user_may_read(account: AwsAccount) -> None:
    assert read(AwsSession(account.access(account.user())), account) == b"{}"


def test_nothing_of_this_machine_is_used(account: AwsAccount, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """AWS_* variables, configuration files and models that would break every call, or lead it elsewhere."""
    home = tmp_path / ".aws"
    (home / "models").mkdir(parents=True)
    (home / "models" / "endpoints.json").write_text("broken")
    poison = (
        "[default]\nregion = eu-poison-1\nendpoint_url = http://127.0.0.1:1\naws_access_key_id = AKIAPOISON\ncredential_process = false\n"
    )
    for name in ("config", "credentials"):
        (home / name).write_text(poison)
    variables = {
        "HOME": str(tmp_path),
        "AWS_PROFILE": "not-there",
        "AWS_ACCESS_KEY_ID": "AKIAPOISONPOISONPOIS",
        "AWS_SECRET_ACCESS_KEY": "poison",
        "AWS_SESSION_TOKEN": "poison",
        "AWS_DEFAULT_REGION": "eu-poison-1",
        "AWS_REGION": "eu-poison-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1",
        "AWS_CA_BUNDLE": "/not/there",
        "AWS_CONFIG_FILE": str(home / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "credentials"),
        "AWS_DATA_PATH": str(home / "models"),
        "AWS_MAX_ATTEMPTS": "not a number",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_ROLE_ARN": "arn:aws:iam::000000000000:role/poison",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/not/there",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
    }
    user = account.user()
    role = account.role(trust_of_user(user["access_key_id"], account))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert read(AwsSession(account.access(user)), account) == b"{}"
    assert read(AwsSession(account.access({**user, "role_arn": role})), account) == b"{}"
    at_aws = AwsSession(replace(account.access(user), endpoints=CloudEndpoints()))
    hosts = [client.meta.endpoint_url for client in (at_aws.s3, at_aws.sts)]
    at_aws.close()
    assert hosts == ["https://s3.us-east-1.amazonaws.com", "https://sts.us-east-1.amazonaws.com"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"access_key_id": "AKIA0000000000000000"}, "does not know the access key"),
        ({"secret_access_key": "0" * 40}, "secret access key is not that of the access key id"),
    ],
)
def test_a_wrong_key_is_named(account: AwsAccount, change: dict[str, str], words: str) -> None:
    user = account.user() | change
    assert words in refusal(AwsSession(account.access(user)), account).message

    role = account.role({"Version": "2012-10-17", "Statement": []})
    assert words in refusal(AwsSession(account.access({**user, "role_arn": role})), account).message


def test_a_deactivated_key_no_longer_opens(account: AwsAccount) -> None:
    user = account.user()
    name = account.iam.get_access_key_last_used(AccessKeyId=user["access_key_id"])["UserName"]
    account.iam.update_access_key(UserName=name, AccessKeyId=user["access_key_id"], Status="Inactive")
    assert "does not know the access key" in refusal(AwsSession(account.access(user)), account).message


def test_what_no_policy_allows_is_refused_with_the_permission_that_is_missing(account: AwsAccount) -> None:
    refused = refusal(AwsSession(account.access(account.user(NOTHING))), account)
    assert f"forbids these credentials s3:GetObject on arn:aws:s3:::{account.bucket}/{KEY}." in refused.message
    assert not refused.is_retryable


def test_a_role_is_assumed_only_with_the_external_id_it_demands(account: AwsAccount) -> None:
    user = account.user(NOTHING)
    role = account.role(trust_of_user(user["access_key_id"], account, external_id="ours-1"))

    assert read(AwsSession(account.access({**user, "role_arn": role, "external_id": "ours-1"})), account) == b"{}"
    for given in ({}, {"external_id": "theirs"}):
        refused = refusal(AwsSession(account.access({**user, "role_arn": role, **given})), account)
        assert f"The role {role} cannot be assumed with this key." in refused.message


def test_a_role_that_trusts_another_or_is_not_there_is_refused(account: AwsAccount) -> None:
    user = account.user()
    other = account.role(trust_of_user(account.user()["access_key_id"], account))
    for role in (other, f"arn:aws:iam::{ACCOUNT}:role/not-there"):
        assert "Its trust policy must name" in refusal(AwsSession(account.access({**user, "role_arn": role})), account).message


def test_a_session_may_read_the_export_alone_whatever_its_role_may(account: AwsAccount) -> None:
    user = account.user(NOTHING)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    credentials = {**user, "role_arn": account.role(trust_of_user(user["access_key_id"], account), everything)}

    assert read(AwsSession(account.access(credentials)), account, "billing/other/data.csv") == b"x"
    narrow = AwsSession(account.access(credentials), account.location())
    assert [one["Key"] for one in narrow.s3.list_objects_v2(Bucket=account.bucket, Prefix="billing/focus/")["Contents"]] == [KEY]
    with pytest.raises(Exception, match="AccessDenied"):
        narrow.s3.list_objects_v2(Bucket=account.bucket, Prefix="billing/")
    with pytest.raises(Exception, match="AccessDenied"):
        narrow.s3.put_object(Bucket=account.bucket, Key=KEY, Body=b"mine")
    assert "forbids" in refusal(narrow, account, "billing/other/data.csv").message


def test_the_session_has_the_run_s_name_in_the_account_s_own_log(account: AwsAccount) -> None:
    user = account.user(NOTHING)
    session = AwsSession(
        account.access({**user, "role_arn": account.role(trust_of_user(user["access_key_id"], account))}, session="run-2026-4711")
    )
    assert session.sts.get_caller_identity()["Arn"].endswith("/run-2026-4711")
    session.close()


def federated(account: AwsAccount, issuer: LocalIssuer, subject: str = "acme_corp") -> dict[str, str]:
    if not any(
        issuer.url.split("//")[1] in one["Arn"] for one in account.iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    ):
        account.provider(issuer.url)
    return {"role_arn": account.role(trust_of_issuer(issuer.url, AUDIENCE, subject))}


def test_a_token_about_the_tenant_opens_its_role_without_any_key(account: AwsAccount, issuer: LocalIssuer) -> None:
    asked: list[str] = []

    def token_of(audience: str) -> str:
        asked.append(audience)
        return tokens(issuer)(audience)

    session = AwsSession(account.access(federated(account, issuer), token_of), account.location())
    assert read(session, account) == b"{}"
    assert asked == [AUDIENCE]


def test_another_tenant_s_token_opens_nothing(account: AwsAccount, issuer: LocalIssuer) -> None:
    credentials = federated(account, issuer)
    refused = refusal(AwsSession(account.access(credentials, tokens(issuer, "other_corp"))), account)
    assert f"The role {credentials['role_arn']} does not let this tenant in." in refused.message
    assert not refused.is_retryable


def test_tokens_that_aws_does_not_accept(account: AwsAccount, issuer: LocalIssuer) -> None:
    credentials = federated(account, issuer)
    old = int((datetime.now(UTC) - timedelta(hours=1)).timestamp())

    def said(token_of: TokenOf) -> AccessRefused:
        return refusal(AwsSession(account.access(credentials, token_of)), account)

    expired = said(tokens(issuer, exp=old))
    assert "has expired" in expired.message
    assert expired.is_retryable
    assert "does not list the audience" in said(tokens(issuer, aud="another")).message
    forged = tokens(issuer)(AUDIENCE).rsplit(".", 1)[0] + "." + "A" * 342
    assert "does not accept this installation's token" in said(lambda _: forged).message
    with local_issuer() as stranger:
        assert f"The account {ACCOUNT} has no OIDC provider" in said(tokens(stranger)).message
        account.provider(stranger.url)
        assert "does not let this tenant in" in said(tokens(stranger)).message
        gone = tokens(stranger)(AUDIENCE)
        with local_issuer() as unreachable:
            account.provider(unreachable.url)
            late = tokens(unreachable)(AUDIENCE)
    assert gone
    lost = said(lambda _: late)
    assert "could not fetch this installation's public keys" in lost.message
    assert lost.is_retryable


def test_a_session_that_has_ended_opens_nothing(account: AwsAccount, issuer: LocalIssuer) -> None:
    """The emulator makes shorter sessions than AWS does; the wire format is STS's own."""
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": federated(account, issuer)["role_arn"],
        "RoleSessionName": "ended",
        "WebIdentityToken": tokens(issuer)(AUDIENCE),
        "DurationSeconds": "-1",
    }
    answer = requests.post(account.url, data=form, timeout=10)
    made = {name: re.search(rf"<{name}>(.+?)</{name}>", answer.text) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")}
    key, secret, token = (match[1] for match in made.values() if match)
    refused = refused_with(account, key, secret, token)
    assert "has expired" in refused.message
    assert refused.is_retryable


def refused_with(account: AwsAccount, key: str, secret: str, token: str) -> AccessRefused:
    """What a read with a session's credentials is answered."""
    session = {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": token}
    s3 = Session().create_client("s3", region_name="us-east-1", endpoint_url=account.url, **session)
    with pytest.raises(AccessRefused) as refused, explained(AwsRequest(action=AwsAction.READ, bucket=account.bucket, key=KEY)):
        s3.get_object(Bucket=account.bucket, Key=KEY)
    s3.close()
    return refused.value


def test_a_session_needs_its_own_token_and_secret(account: AwsAccount, issuer: LocalIssuer) -> None:
    session = AwsSession(account.access(federated(account, issuer)))
    made = session.assume(token=tokens(issuer)(AUDIENCE))
    session.close()
    key, secret, token = made["access_key"], made["secret_key"], made["token"]
    assert "does not accept the session's token" in refused_with(account, key, secret, token[:-4] + "AAAA").message
    assert "is not that of the access key id" in refused_with(account, key, "0" * 40, token).message


def test_a_refusal_to_issue_a_token_is_passed_on(account: AwsAccount, issuer: LocalIssuer) -> None:
    assert refusal(AwsSession(account.access(federated(account, issuer))), account).message.startswith("This installation issues no")


def test_a_session_is_renewed_with_a_new_token_and_by_then_another_signing_key(
    account: AwsAccount, issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long read: the first session is within its last minutes, as AWS's library sees it, when the next request is signed."""
    monkeypatch.setattr("services.clouds.aws.session.SESSION_SECONDS", 900)  # renewed when 15 minutes are left
    kids: list[str] = []

    def token_of(audience: str) -> str:
        kids.append(issuer.kid)
        token = tokens(issuer)(audience)
        issuer.rotate()
        return token

    session = AwsSession(account.access(federated(account, issuer), token_of))
    for _ in range(2):
        session.s3.get_object(Bucket=account.bucket, Key=KEY)["Body"].read()
    session.close()
    assert len(set(kids)) == 2


def test_no_secret_is_in_logs_errors_or_reprs(account: AwsAccount, issuer: LocalIssuer, caplog: pytest.LogCaptureFixture) -> None:
    user = account.user()
    token = tokens(issuer, "other_corp")(AUDIENCE)
    with caplog.at_level(logging.DEBUG):
        key = AwsSession(account.access(user | {"secret_access_key": "S" * 40, "external_id": "E-1"}))
        role = AwsSession(account.access(federated(account, issuer), lambda _: token))
        texts = [str(refusal(key, account)), str(refusal(role, account)), repr(key.credentials), repr(key), repr(role)]
    texts += [record.getMessage() for record in caplog.records if record.name.startswith(("services", "root"))]
    for secret in ("S" * 40, "E-1", token):
        assert not [text for text in texts if secret in text]


def test_the_policy_allows_no_more_than_it_says() -> None:
    location = AwsAccount(url="").location("a/b")
    actions = [one["Action"] for one in json.loads(reader_policy(location, "aws"))["Statement"]]
    assert actions == ["s3:GetObject", "s3:ListBucket", "kms:Decrypt"]
