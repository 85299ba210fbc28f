"""The issuer behind the real gateway and over the real KMS emulator: discovery, keys, tokens, and the rotation of the signing key."""

import asyncio
import base64
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import requests
import structlog
from convergence.credentials.v1 import (
    credential_service_pb2_grpc,
    issuer_service_pb2_grpc,
    token_service_pb2,
    token_service_pb2_grpc,
    trust_service_pb2_grpc,
)

from localcloud.kms.keyring import KeyRing
from localcloud.kms.server import serve
from localcloud.kms.signing import SigningKeys
from localcloud.oidc import Claims, TokenFault, TokenRefused, Verifier
from services.clouds.probes import probe_subjects
from services.credentials.dataset_access import DatasetAccess
from services.credentials.datasets import TenantDatasets
from services.credentials.issuer.issuer import TokenIssuer
from services.credentials.payloads import PayloadRules
from services.credentials.servicers.credential import CredentialServicer
from services.credentials.servicers.issuer import IssuerServicer
from services.credentials.servicers.token import TokenServicer
from services.credentials.servicers.trust import TrustServicer
from services.credentials.set_credentials import CredentialChanges
from services.credentials.store import CredentialStore
from services.platform.access.api_keys import hash_key
from services.platform.access.key_holder import KeyHolder
from services.platform.bigquery.client import BigQuery
from services.platform.clock import SystemClock
from services.platform.errors import FailedPrecondition, Internal, InvalidArgument, PermissionDenied, Unauthenticated
from services.platform.identifiers import check_tenant_id
from services.platform.kms.client import Kms
from services.platform.kms.signer import KmsSigner
from services.platform.rpc.peers import peer_channel
from services.platform.server import Served
from services.platform.settings import ServiceSettings
from tests.conftest import serving
from tests.integration.credentials.conftest import DDL, Suite
from tests.integration.credentials.test_set_credentials import set_credentials
from tests.integration.gateway.conftest import Gateway, envoy
from tests.support.credentials.locations import Everywhere
from tests.support.credentials.samples import AWS, AWS_FEDERATED, AZURE_FEDERATED, GCP_FEDERATED
from tests.support.set_clock import SetClock

KEY = "projects/p/locations/global/keyRings/ring/cryptoKeys/tokens"
OVERLAP = timedelta(hours=1)
AUDIENCES = {
    "AWS": "sts.amazonaws.com",
    "AZURE": "api://AzureADTokenExchange",
    "GCP": f"//iam.googleapis.com/{GCP_FEDERATED['workload_identity_provider']}",
}


class EveryTenant:
    """The key `{tenant_id}-key` is each tenant's."""

    def __init__(self) -> None:
        self.tenants: set[str] = set()

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        for tenant in self.tenants:
            if hash_key(f"{tenant}-key") == api_key_sha256:
                return KeyHolder(tenant_id=tenant, api_key_id="k", scopes=(), tenant_active=True, subscription_active=True)
        raise Unauthenticated("API_KEY_INVALID", "This API key is not known.")


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedSigner:
    """Counts what KMS is asked."""

    signer: KmsSigner
    calls: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self.signer, name)


class Current:
    """Stands before the issuer of the test that runs: the gateway and the server behind it serve all of them."""

    issuer: TokenIssuer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.issuer, name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """What is started once."""

    gateway: Gateway
    kms_address: str
    kms: SigningKeys
    current: Current
    keys: EveryTenant
    executor: token_service_pb2_grpc.TokenServiceStub
    stranger: token_service_pb2_grpc.TokenServiceStub


@dataclass(frozen=True, kw_only=True, slots=True)
class Federation:
    started: Started
    key: str
    issuer: TokenIssuer
    asked_of_kms: list[str]
    clock: SetClock

    @property
    def gateway(self) -> Gateway:
        return self.started.gateway

    @property
    def kms(self) -> SigningKeys:
        return self.started.kms

    async def set(self, tenant_id: str, provider: str, credentials: dict[str, str]) -> requests.Response:
        self.started.keys.tenants.add(tenant_id)
        body = {"provider": provider, "credentials": credentials}
        return await self.gateway.call(
            "POST", f"/api/v1/tenants/{tenant_id}/credentials", json=body, headers={"x-api-key": f"{tenant_id}-key"}
        )

    async def mint(self, tenant_id: str, provider: str = "AWS") -> token_service_pb2.MintTokenResponse:
        answer: token_service_pb2.MintTokenResponse = await self.started.executor.MintToken(
            token_service_pb2.MintTokenRequest(tenant_id=tenant_id, provider=provider)
        )
        return answer

    async def verify(self, token: str, tenant_id: str, *, verifier: Verifier | None = None, audience: str = AUDIENCES["AWS"]) -> Claims:
        check = (verifier or Verifier()).verify
        return await asyncio.to_thread(
            lambda: check(token, issuer=self.issuer.url, audience=audience, subject=tenant_id, now=self.clock.now())
        )


@pytest.fixture(scope="module")
async def started(
    service_settings: ServiceSettings, bq: BigQuery, kms: Kms, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Started]:
    folder, keys, current = tmp_path_factory.mktemp("federation"), EveryTenant(), Current()
    signing = SigningKeys(folder / "signing.json")
    server, kms_port = serve("127.0.0.1:0", KeyRing(folder / "keyring.json"), signing)
    issuer: Any = current
    unused: Any = None  # no test here tries credentials before they are stored
    store = CredentialStore(bq)
    datasets = TenantDatasets(bq, locations=Everywhere(), ddl=DDL, access=DatasetAccess())
    served = [
        Served(
            name="convergence.credentials.v1.CredentialService",
            add=credential_service_pb2_grpc.add_CredentialServiceServicer_to_server,
            servicer=CredentialServicer(
                CredentialChanges(store, datasets, kms, SystemClock()), store, issuer, unused, PayloadRules(), SystemClock()
            ),
        ),
        Served(
            name="convergence.credentials.v1.IssuerService",
            add=issuer_service_pb2_grpc.add_IssuerServiceServicer_to_server,
            servicer=IssuerServicer(issuer),
        ),
        Served(
            name="convergence.credentials.v1.TrustService",
            add=trust_service_pb2_grpc.add_TrustServiceServicer_to_server,
            servicer=TrustServicer(issuer),
        ),
        Served(
            name="convergence.credentials.v1.TokenService",
            add=token_service_pb2_grpc.add_TokenServiceServicer_to_server,
            servicer=TokenServicer(store, issuer),
        ),
    ]
    async with contextlib.AsyncExitStack() as stack:
        address = await stack.enter_async_context(serving(service_settings, name="credentials", authenticator=keys, served=served))
        gateway = stack.enter_context(envoy(folder, service_settings.tls_dir, {"credentials": int(address.rpartition(":")[2])}))
        channels = [
            await stack.enter_async_context(peer_channel(service_settings, caller=caller, peer="credentials", address=address))
            for caller in ("executor", "gateway")
        ]
        executor, stranger = map(token_service_pb2_grpc.TokenServiceStub, channels)
        yield Started(
            gateway=gateway,
            kms_address=f"127.0.0.1:{kms_port}",
            kms=signing,
            current=current,
            keys=keys,
            executor=executor,
            stranger=stranger,
        )
    server.stop(None).wait()


@pytest.fixture
async def federation(started: Started, service_settings: ServiceSettings) -> AsyncIterator[Federation]:
    """An issuer with a key of its own."""
    key = f"{KEY}-{uuid.uuid4().hex}"
    started.kms.ensure(key)
    clock = SetClock()  # from now on
    async with KmsSigner(service_settings.model_copy(update={"kms_emulator_host": started.kms_address}), key=key) as client:
        signer: Any = CountedSigner(signer=client)
        issuer = TokenIssuer(signer, url=started.gateway.url, overlap=OVERLAP, clock=clock, refresh=timedelta())
        started.current.issuer = issuer
        await answering(started.gateway)
        yield Federation(started=started, key=key, issuer=issuer, asked_of_kms=signer.calls, clock=clock)


async def answering(gateway: Gateway) -> None:
    """Until the gateway has found the one service that is there."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(requests.ConnectionError):
                if (await gateway.call("GET", "/.well-known/openid-configuration")).ok:
                    return
            await asyncio.sleep(0.02)


async def test_anyone_reads_who_issues_and_with_which_keys(federation: Federation) -> None:
    discovery = await federation.gateway.call("GET", "/.well-known/openid-configuration")
    keys = await federation.gateway.call("GET", "/.well-known/jwks.json", headers={"x-api-key": "unknown"})

    assert discovery.json() == {
        "issuer": federation.gateway.url,
        "jwks_uri": f"{federation.gateway.url}/.well-known/jwks.json",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid"],
        "claims_supported": ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"],
    }
    [key] = keys.json()["keys"]
    assert set(keys.json()) == {"keys"}
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}
    assert (key["kty"], key["use"], key["alg"], key["e"]) == ("RSA", "sig", "RS256", "AQAB")
    for answer in (discovery, keys):
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "public, max-age=300"
    head = await federation.gateway.call("HEAD", "/.well-known/jwks.json")
    assert (head.status_code, head.content) == (200, b"")
    for path in ("/.well-known/", "/.well-known/security.txt", "/.well-known/jwks.json/x"):
        assert (await federation.gateway.call("GET", path)).status_code == 404
    posted = await federation.gateway.call("POST", "/.well-known/jwks.json", json={})
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")


async def test_a_minted_token_opens_for_its_own_tenant_and_cloud_alone(federation: Federation, tenant_id: str) -> None:
    sent = {"AWS": AWS_FEDERATED, "AZURE": AZURE_FEDERATED, "GCP": GCP_FEDERATED}
    for provider, credentials in sent.items():
        assert (await federation.set(tenant_id, provider, credentials)).ok
        with structlog.testing.capture_logs() as logs:
            minted = await federation.mint(tenant_id, provider)
        assert minted.audience == AUDIENCES[provider]
        claims = await federation.verify(minted.token, tenant_id, audience=AUDIENCES[provider])
        assert claims.expires_at == minted.expires_at.ToDatetime(claims.expires_at.tzinfo)
        assert claims.expires_at - claims.issued_at == timedelta(minutes=10)
        said = repr(logs)
        assert not [part for part in minted.token.split(".") if part in said]

        for audience in set(AUDIENCES.values()) - {minted.audience}:
            with pytest.raises(TokenRefused, match="audience"):
                await federation.verify(minted.token, tenant_id, audience=audience)
        with pytest.raises(TokenRefused, match="another subject"):
            await federation.verify(minted.token, f"{tenant_id}_2", audience=AUDIENCES[provider])

    listed = await federation.gateway.call("GET", f"/api/v1/tenants/{tenant_id}/credentials", headers={"x-api-key": f"{tenant_id}-key"})
    assert [(one["provider"], one["access"]) for one in listed.json()["credentials"]] == [
        ("AWS", "FEDERATION"),
        ("AZURE", "FEDERATION"),
        ("GCP", "FEDERATION"),
    ]


async def test_a_token_ends_after_ten_minutes_and_each_is_another(federation: Federation, tenant_id: str) -> None:
    await federation.set(tenant_id, "AWS", AWS_FEDERATED)
    one, two = (await federation.mint(tenant_id)).token, (await federation.mint(tenant_id)).token
    first, second = await federation.verify(one, tenant_id), await federation.verify(two, tenant_id)
    assert first.values["jti"] != second.values["jti"]
    federation.clock.time += timedelta(minutes=10)
    with pytest.raises(TokenRefused, match="expired"):
        await federation.verify(one, tenant_id)


async def test_tokens_are_refused_where_a_key_or_nothing_is_stored_and_to_strangers(federation: Federation, tenant_id: str) -> None:
    with pytest.raises(FailedPrecondition) as missing:
        await federation.mint(tenant_id)
    assert (await federation.set(tenant_id, "AWS", AWS)).ok
    with pytest.raises(FailedPrecondition) as with_key:
        await federation.mint(tenant_id)
    assert (await federation.set(tenant_id, "AWS", AWS_FEDERATED)).ok
    await federation.mint(tenant_id)
    assert (await federation.set(tenant_id, "AWS", AWS)).ok  # and back: the audience goes with the key
    with pytest.raises(FailedPrecondition) as with_key_again:
        await federation.mint(tenant_id)
    with pytest.raises(PermissionDenied) as denied:
        await federation.started.stranger.MintToken(token_service_pb2.MintTokenRequest(tenant_id=tenant_id, provider="AWS"))
    assert [one.value.reason for one in (missing, with_key, with_key_again)] == [
        "CREDENTIALS_MISSING",
        "CREDENTIALS_NOT_FEDERATED",
        "CREDENTIALS_NOT_FEDERATED",
    ]
    assert denied.value.reason == "CALLER_DENIED"


async def test_a_probe_is_about_no_tenant(federation: Federation, tenant_id: str) -> None:
    await federation.set(tenant_id, "AWS", AWS_FEDERATED)
    subjects = probe_subjects(tenant_id)
    for number, subject in enumerate(subjects, start=1):
        request = token_service_pb2.MintTokenRequest(tenant_id=tenant_id, provider="AWS", probe=number)
        token = (await federation.started.executor.MintToken(request)).token
        assert (await federation.verify(token, subject)).subject == subject
        with pytest.raises(InvalidArgument):
            check_tenant_id(subject, ())
        with pytest.raises(TokenRefused, match="another subject"):
            await federation.verify(token, tenant_id)
    request = token_service_pb2.MintTokenRequest(tenant_id=tenant_id, provider="AWS", probe=len(subjects) + 1)
    with pytest.raises(InvalidArgument) as refused:
        await federation.started.executor.MintToken(request)
    assert refused.value.field == "probe"


async def test_a_new_version_is_published_first_and_signs_after_the_overlap(federation: Federation, tenant_id: str) -> None:
    await federation.set(tenant_id, "AWS", AWS_FEDERATED)
    verifier = Verifier()
    old = (await federation.mint(tenant_id)).token
    await federation.verify(old, tenant_id, verifier=verifier)
    federation.kms.add_version(federation.key)
    assert await kids(federation) == [kid_of(old), (second := (await kids(federation))[1])]
    assert kid_of((await federation.mint(tenant_id)).token) == kid_of(old)

    federation.clock.time += OVERLAP
    fresh = (await federation.mint(tenant_id)).token
    assert kid_of(fresh) == second
    await federation.verify(fresh, tenant_id, verifier=verifier)

    # Once the old one is disabled it leaves the key set, and what it signed is refused.
    federation.kms.set_disabled(federation.key, 1, disabled=True)
    assert await kids(federation) == [second]
    with pytest.raises(TokenRefused) as refused:
        await federation.verify(old, tenant_id)
    assert refused.value.fault == TokenFault.UNKNOWN_KEY


async def test_when_the_signing_version_is_disabled_another_goes_on_at_once(federation: Federation, tenant_id: str) -> None:
    await federation.set(tenant_id, "AWS", AWS_FEDERATED)
    federation.issuer._kept._seconds = 3600.0  # listed long ago, as far as this process knows
    federation.kms.add_version(federation.key)
    federation.clock.time += OVERLAP
    first = kid_of((await federation.mint(tenant_id)).token)
    signing = {await kid_at(federation, number): number for number in (1, 2)}[first]
    federation.kms.set_disabled(federation.key, signing, disabled=True)
    other = (await federation.mint(tenant_id)).token
    assert kid_of(other) != first
    await federation.verify(other, tenant_id)
    federation.kms.set_disabled(federation.key, 3 - signing, disabled=True)
    with pytest.raises(Internal) as refused:
        await federation.mint(tenant_id)
    assert refused.value.reason == "KMS_KEY_UNUSABLE"


async def test_readers_of_the_keys_cost_no_call_to_kms(federation: Federation) -> None:
    federation.issuer._kept._seconds = 3600.0
    await kids(federation)
    federation.asked_of_kms.clear()
    answers = await asyncio.gather(*(federation.gateway.call("GET", "/.well-known/jwks.json") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert federation.asked_of_kms == []


async def test_the_keys_stay_published_while_kms_does_not_answer(federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await kids(federation)
    monkeypatch.setattr(federation.issuer, "_read", unavailable)
    assert await kids(federation) == before


async def unavailable() -> None:
    raise Internal("KMS_KEY_UNUSABLE", "The key cannot be used.")


async def test_a_tenant_reads_what_to_set_up_for_itself(federation: Federation, tenant_id: str) -> None:
    federation.started.keys.tenants |= {tenant_id}
    headers = {"x-api-key": f"{tenant_id}-key"}
    path = f"/api/v1/tenants/{tenant_id}/credentials"
    for provider, audience in AUDIENCES.items():
        trust = await federation.gateway.call("GET", f"{path}/{provider.lower()}/trust", headers=headers)
        said = trust.json()
        assert (trust.status_code, said["provider"]) == (200, provider), said
        assert (said["issuer"], said["subject"]) == (federation.gateway.url, tenant_id)
        assert provider == "GCP" or said["audience"] == audience
        assert said["commands"]
        assert said["placeholders"]
    role = AWS_FEDERATED["role_arn"]
    filled = await federation.gateway.call("GET", f"{path}/aws/trust?role_arn={role}&export=s3://acme-bills/exports/focus", headers=headers)
    assert filled.json()["placeholders"] == []
    assert filled.json()["credentials"] == {"provider": "AWS", "credentials": {"role_arn": role}}
    stored = await federation.gateway.call("POST", path, json=filled.json()["credentials"], headers=headers)
    assert stored.json()["action"] == "CREATED"

    bad = await federation.gateway.call("GET", f"{path}/aws/trust?client_id=x", headers=headers)
    no_clouds = [await federation.gateway.call("GET", f"{path}/{name}/trust", headers=headers) for name in ("slack", "foo")]
    other = await federation.gateway.call("GET", f"/api/v1/tenants/{tenant_id}_2/credentials/aws/trust", headers=headers)
    without_key = await federation.gateway.call("GET", f"{path}/aws/trust")
    assert [answer.status_code for answer in (bad, *no_clouds, other, without_key)] == [400, 400, 400, 403, 401]
    assert ["must be AWS, AZURE, GCP, in either case." in answer.text for answer in no_clouds] == [True, True]


async def test_without_an_issuer_federation_is_refused_and_nothing_stored(process: Callable[..., Suite], tenant_id: str) -> None:
    suite = process()
    with pytest.raises(FailedPrecondition) as refused:
        await set_credentials(suite, tenant_id, AWS_FEDERATED, provider="AWS")
    assert refused.value.reason == "FEDERATION_OFF"
    assert await suite.store.find(tenant_id, "AWS") is None


def kid_of(token: str) -> str:
    kid: str = json.loads(base64.urlsafe_b64decode(token.split(".", maxsplit=1)[0] + "=="))["kid"]
    return kid


async def kids(federation: Federation) -> list[str]:
    answer = await federation.gateway.call("GET", "/.well-known/jwks.json")
    return [key["kid"] for key in answer.json()["keys"]]


async def kid_at(federation: Federation, number: int) -> str:
    return next(key.jwk["kid"] for key in await federation.issuer.published() if key.version.endswith(f"/{number}"))
