"""A tenant without a key: our token is exchanged at Google's service, which lets in that tenant alone. Refusals say what to do."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from google.auth import exceptions as google_auth
from google.auth.transport.requests import Request

from services.clouds.access import AccessRefused, CloudEndpoints, TenantAccess
from services.clouds.gcp.federation import REFUSALS, ExchangeFault, ExchangeRefused, FederatedIdentity
from services.clouds.gcp.identity import open_identity, read_gcp
from services.clouds.gcp.refusals import Asked, Role, explain
from services.platform.bigquery.transient import is_transient
from tests.support.google_sts import EMAIL, POOL, PROVIDER, allow_impersonation, call, google_sts, trust
from tests.support.oidc_issuer import LocalIssuer, local_issuer

TENANT, AUDIENCE = "acme_corp", f"//iam.googleapis.com/{PROVIDER}"
ASKED = Asked(what="project acme", project="acme", role=Role.DATA_VIEWER)


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with local_issuer() as it:
        yield it


@pytest.fixture
def sts(tmp_path: Path) -> Iterator[str]:
    with google_sts(tmp_path) as url:
        yield url


class Tokens:
    """Ours, as the credentials service makes them."""

    def __init__(self, issuer: LocalIssuer, **changes: Any) -> None:
        self.issuer, self.changes = issuer, {"subject": TENANT, **changes}
        self.audiences: list[str] = []

    def __call__(self, audience: str) -> str:
        self.audiences.append(audience)
        return self.issuer.token(**{"audience": audience, "now": datetime.now(UTC), **self.changes})


def identity(sts: str, tokens: Tokens, *, email: str | None = None) -> FederatedIdentity:
    stored = {"project_id": "acme-gcp-project", "workload_identity_provider": PROVIDER} | (
        {"service_account_email": email} if email else {}
    )
    access = TenantAccess(
        tenant_id=TENANT,
        provider="GCP",
        plaintext=json.dumps(stored).encode(),
        session="test",
        endpoints=CloudEndpoints(google_sts=sts),
        token_of=tokens,
    )
    opened = open_identity(read_gcp(access.plaintext), access)
    assert isinstance(opened, FederatedIdentity)
    return opened


def claims(token: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    return said


def refused(opened: FederatedIdentity) -> ExchangeFault:
    with pytest.raises(ExchangeRefused) as error:
        opened.ready()
    explained = explain(error.value, ASKED)
    assert explained.message == REFUSALS[error.value.fault]
    assert not explained.is_retryable
    return error.value.fault


def test_the_subject_itself_is_let_in(sts: str, issuer: LocalIssuer) -> None:
    trust(sts, issuer.url, TENANT)
    tokens = Tokens(issuer)
    opened = identity(sts, tokens)
    opened.ready()
    said = claims(str(opened.token))
    assert said["sub"] == f"principal://iam.googleapis.com/{POOL}/subject/{TENANT}"
    assert said["scope"] == "https://www.googleapis.com/auth/bigquery"
    assert tokens.audiences == [AUDIENCE]
    opened.ready()
    assert tokens.audiences == [AUDIENCE], "a token that lasts is not fetched again"


def test_a_service_account_is_impersonated_if_it_lets_the_subject(sts: str, issuer: LocalIssuer) -> None:
    trust(sts, issuer.url, TENANT)
    assert refused(identity(sts, Tokens(issuer), email=EMAIL)) == ExchangeFault.IMPERSONATION
    allow_impersonation(sts, "other_tenant")
    assert refused(identity(sts, Tokens(issuer), email=EMAIL)) == ExchangeFault.IMPERSONATION
    allow_impersonation(sts, TENANT)
    opened = identity(sts, Tokens(issuer), email=EMAIL)
    opened.ready()
    said = claims(str(opened.token))
    assert (said["sub"], said["scope"]) == (EMAIL, "https://www.googleapis.com/auth/bigquery")


def test_a_long_run_gets_new_tokens_also_after_our_key_was_rotated(sts: str, issuer: LocalIssuer) -> None:
    trust(sts, issuer.url, TENANT)
    tokens = Tokens(issuer)
    opened = identity(sts, tokens)
    opened.ready()
    first = opened.token
    old = issuer.rotate()
    issuer.published = [old]  # and the key that signed the first one is disabled
    opened.expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(minutes=1)
    opened.ready()
    assert opened.token != first
    assert len(tokens.audiences) == 2


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({"subject": "other_tenant"}, {}, ExchangeFault.CONDITION),
        ({"subject": "convergence-probe"}, {}, ExchangeFault.CONDITION),
        ({"audience": "sts.amazonaws.com"}, {}, ExchangeFault.AUDIENCE),
        ({"audience": AUDIENCE.replace("123456789012", "999")}, {}, ExchangeFault.AUDIENCE),
        ({}, {"oidc": {"issuerUri": "http://127.0.0.1:9"}}, ExchangeFault.ISSUER),
        ({"iss": "http://127.0.0.1:9"}, {"oidc": {"issuerUri": "http://127.0.0.1:9"}}, ExchangeFault.KEYS),
        ({"header": {"kid": "unknown"}}, {}, ExchangeFault.KEYS),
        ({"now": datetime.now(UTC) - timedelta(minutes=11)}, {}, ExchangeFault.TOKEN),
        ({"header": {"alg": "none"}}, {}, ExchangeFault.TOKEN),
        ({}, {"attributeMapping": {"google.subject": "assertion.email"}}, ExchangeFault.TOKEN),
    ],
)
def test_whatever_does_not_fit_is_refused_with_what_to_do(
    sts: str, issuer: LocalIssuer, ours: dict[str, Any], theirs: dict[str, Any], expected: ExchangeFault
) -> None:
    trust(sts, issuer.url, TENANT, **theirs)
    assert refused(identity(sts, Tokens(issuer, **ours))) == expected


def test_without_an_enabled_provider_it_is_named(sts: str, issuer: LocalIssuer) -> None:
    assert refused(identity(sts, Tokens(issuer))) == ExchangeFault.PROVIDER
    trust(sts, issuer.url, TENANT)
    call(sts, "PATCH", f"{PROVIDER}?updateMask=disabled", {"disabled": True}).raise_for_status()
    assert refused(identity(sts, Tokens(issuer))) == ExchangeFault.PROVIDER


def test_without_a_condition_anyone_s_subject_is_let_in_but_stays_itself(sts: str, issuer: LocalIssuer) -> None:
    """What a check finds with a probe: the provider is open, though roles are still granted to one subject."""
    trust(sts, issuer.url, TENANT, attributeCondition="")
    opened = identity(sts, Tokens(issuer, subject="convergence-probe"))
    opened.ready()
    assert claims(str(opened.token))["sub"].endswith("/subject/convergence-probe")


def test_a_service_that_does_not_answer_may_answer_later(issuer: LocalIssuer) -> None:
    with pytest.raises(google_auth.TransportError) as error:
        identity("http://127.0.0.1:9", Tokens(issuer)).ready()
    assert is_transient(error.value)


def test_an_answer_that_says_nothing_about_the_token_may_be_another_later(issuer: LocalIssuer) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        return SimpleNamespace(status=503, data=b"<html>Service Unavailable</html>", headers={})

    with pytest.raises(google_auth.TransportError):
        identity("http://127.0.0.1:9", Tokens(issuer)).refresh(broken)


def test_our_own_refusal_to_make_a_token_arrives_as_it_is(sts: str, issuer: LocalIssuer) -> None:
    def none(_: str) -> str:
        raise AccessRefused("The GCP credentials hold a key.")

    tokens: Any = none
    with pytest.raises(AccessRefused, match="hold a key"):
        identity(sts, tokens).ready()


def test_no_error_quotes_a_token_or_google_s_text(sts: str, issuer: LocalIssuer) -> None:
    trust(sts, issuer.url, "someone_else")
    tokens = Tokens(issuer)
    opened = identity(sts, tokens)
    with pytest.raises(ExchangeRefused) as error:
        opened.refresh(Request())
    assert str(error.value) == "exchange-refused-condition"
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"attributeCondition": "assertion.sub.matches('a.*')"}, 400),
        ({"attributeMapping": {"google.subject": "assertion.sub + 'x'"}}, 400),
        ({"attributeMapping": {"attribute.x": "assertion.sub"}}, 400),
        ({"oidc": {}}, 400),
    ],
)
def test_what_the_emulator_cannot_check_it_does_not_take(sts: str, issuer: LocalIssuer, body: dict[str, Any], status: int) -> None:
    with pytest.raises(requests.HTTPError) as error:
        trust(sts, issuer.url, TENANT, **body)
    assert error.value.response.status_code == status


def test_pools_are_there_after_a_restart(tmp_path: Path, issuer: LocalIssuer) -> None:
    with google_sts(tmp_path) as url:
        trust(url, issuer.url, TENANT)
    with google_sts(tmp_path) as url:
        identity(url, Tokens(issuer)).ready()
        assert call(url, "POST", f"{POOL}/providers?workloadIdentityPoolProviderId=convergence", {"oidc": {}}).status_code == 400
