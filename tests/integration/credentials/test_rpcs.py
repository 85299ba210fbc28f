"""The service behind its real server: mTLS, access, validation, errors on the wire, and what it logs."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from convergence.credentials.v1 import credential_service_pb2 as messages
from convergence.credentials.v1 import credential_service_pb2_grpc, sealed_credential_service_pb2_grpc
from convergence.credentials.v1 import sealed_credential_service_pb2 as sealed_messages
from google.protobuf import struct_pb2

from services.platform.access.api_keys import hash_key
from services.platform.access.key_holder import KeyHolder
from services.platform.errors import ConvergenceError, FailedPrecondition, InvalidArgument, PermissionDenied, Unauthenticated
from services.platform.rpc.peers import peer_channel
from services.platform.server import Served, build_server
from services.platform.settings import ServiceSettings
from tests.integration.credentials.conftest import Suite, Tables
from tests.support.credentials.samples import Rsa, gcp


class Keys:
    """Knows the keys `{tenant_id}-key`."""

    def __init__(self, *tenants: str) -> None:
        self._holders = {hash_key(f"{tenant}-key"): tenant for tenant in tenants}
        self.are_active = True

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        tenant = self._holders.get(api_key_sha256)
        if tenant is None:
            raise Unauthenticated("API_KEY_INVALID", "This API key is not known.")
        return KeyHolder(tenant_id=tenant, api_key_id="k", scopes=(), tenant_active=self.are_active, subscription_active=self.are_active)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clients:
    gateway: Any
    sealed_by_executor: Any
    sealed_by_gateway: Any
    tenant_id: str
    keys: Keys

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("x-api-key", f"{self.tenant_id}-key"), ("x-user-id", "alice"))


@pytest.fixture
async def clients(credentials: Suite, service_settings: ServiceSettings, tenant_id: str) -> AsyncIterator[Clients]:
    served = [
        Served(
            name="convergence.credentials.v1.CredentialService",
            add=credential_service_pb2_grpc.add_CredentialServiceServicer_to_server,
            servicer=credentials.servicer,
        ),
        Served(
            name="convergence.credentials.v1.SealedCredentialService",
            add=sealed_credential_service_pb2_grpc.add_SealedCredentialServiceServicer_to_server,
            servicer=credentials.sealed,
        ),
    ]
    keys = Keys(tenant_id)
    never_cached = service_settings.model_copy(update={"key_cache_seconds": 0.0})
    built = build_server(never_cached, name="credentials", authenticator=keys, served=served)
    await built.server.start()
    address = f"127.0.0.1:{built.port}"
    gateway = peer_channel(service_settings, caller="gateway", peer="credentials", address=address)
    executor = peer_channel(service_settings, caller="executor", peer="credentials", address=address)
    async with gateway, executor:
        yield Clients(
            gateway=credential_service_pb2_grpc.CredentialServiceStub(gateway),
            sealed_by_executor=sealed_credential_service_pb2_grpc.SealedCredentialServiceStub(executor),
            sealed_by_gateway=sealed_credential_service_pb2_grpc.SealedCredentialServiceStub(gateway),
            tenant_id=tenant_id,
            keys=keys,
        )
    await built.server.stop(1)


def to_set(tenant_id: str, credentials: dict[str, Any], provider: str = "GCP") -> messages.SetCredentialsRequest:
    struct = struct_pb2.Struct()
    struct.update(credentials)
    return messages.SetCredentialsRequest(tenant_id=tenant_id, provider=provider, credentials=struct)


async def test_set_list_fetch_delete(clients: Clients, tables: Tables, rsa: Rsa) -> None:
    """The tenant sets and lists, the executor fetches; no key material stands in any log line or answer."""
    with structlog.testing.capture_logs() as logs:
        done = await clients.gateway.SetCredentials(to_set(clients.tenant_id, gcp(rsa)), metadata=clients.headers)
        listed = await clients.gateway.ListCredentials(
            messages.ListCredentialsRequest(tenant_id=clients.tenant_id), metadata=clients.headers
        )
        fetch = sealed_messages.GetSealedCredentialRequest(tenant_id=clients.tenant_id, provider="GCP")
        fetched = await clients.sealed_by_executor.GetSealedCredential(fetch)
        forget = messages.DeleteCredentialsRequest(tenant_id=clients.tenant_id, provider="gcp")
        gone = await clients.gateway.DeleteCredentials(forget, metadata=clients.headers)

    assert (done.action, gone.action) == ("CREATED", "DELETED")
    assert [(entry.provider, entry.created_by_user_id) for entry in listed.credentials] == [("GCP", "alice")]
    assert fetched.credential_id == listed.credentials[0].credential_id
    assert [row["user_id"] for row in await tables.audit(clients.tenant_id)] == ["alice", "alice"]
    said = repr((logs, done, listed, fetched, gone))
    assert not [line for line in rsa.pkcs8.splitlines()[:-1] if line in said]


async def test_refusals_name_the_field_and_repeat_nothing(clients: Clients, rsa: Rsa) -> None:
    """As the caller wrote its path; neither the answer nor a log line holds what was sent."""
    cases = [
        (to_set(clients.tenant_id, gcp(rsa, client_email="s3kr1t")), "credentials.service_account_json.client_email"),
        (
            to_set(clients.tenant_id, {"project_id": "acme-gcp-project", "service_account_json": rsa.pkcs8}),
            "credentials.service_account_json",
        ),
        (to_set(clients.tenant_id, gcp(rsa), provider="s3kr1t"), "provider"),
        (to_set(clients.tenant_id, gcp(rsa), provider=""), "provider"),
        (messages.SetCredentialsRequest(tenant_id=clients.tenant_id, provider="GCP"), "credentials"),
    ]
    for request, field in cases:
        with structlog.testing.capture_logs() as logs, pytest.raises(InvalidArgument) as caught:
            await clients.gateway.SetCredentials(request, metadata=clients.headers)
        assert caught.value.field == field
        said = json.dumps(logs) + repr(caught.value)
        assert "s3kr1t" not in said
        assert rsa.pkcs8.splitlines()[1] not in said


async def test_a_suspended_tenant_sees_and_deletes_its_secrets_and_sets_none(clients: Clients, rsa: Rsa) -> None:
    await clients.gateway.SetCredentials(to_set(clients.tenant_id, gcp(rsa)), metadata=clients.headers)
    clients.keys.are_active = False

    with pytest.raises(PermissionDenied) as refused:
        await clients.gateway.SetCredentials(to_set(clients.tenant_id, gcp(rsa)), metadata=clients.headers)
    asked = messages.ListCredentialsRequest(tenant_id=clients.tenant_id)
    listed = await clients.gateway.ListCredentials(asked, metadata=clients.headers)
    forget = messages.DeleteCredentialsRequest(tenant_id=clients.tenant_id, provider="GCP")
    gone = await clients.gateway.DeleteCredentials(forget, metadata=clients.headers)

    assert (refused.value.reason, gone.action) == ("TENANT_NOT_ACTIVE", "DELETED")
    [credential] = listed.credentials
    assert (credential.sealed_at, credential.sealed_days) == (credential.created_at, 0)
    assert credential.kms_key_version.endswith("/cryptoKeyVersions/1")
    assert not (await clients.gateway.ListCredentials(asked, metadata=clients.headers)).credentials


async def test_the_platform_s_own_project_is_no_tenant_s(clients: Clients, rsa: Rsa, service_settings: ServiceSettings) -> None:
    """Nothing is stored of what names it."""
    sent = gcp(rsa) | {"project_id": service_settings.project}
    with pytest.raises(InvalidArgument, match="this installation's own") as refused:
        await clients.gateway.SetCredentials(to_set(clients.tenant_id, sent), metadata=clients.headers)
    assert refused.value.field == "credentials.project_id"
    asked = messages.ListCredentialsRequest(tenant_id=clients.tenant_id)
    assert not (await clients.gateway.ListCredentials(asked, metadata=clients.headers)).credentials


async def test_strangers(clients: Clients, tenant_id: str) -> None:
    """No key, another tenant's dataset, and a gateway that asks for a sealed blob."""
    calls: list[tuple[Callable[[], Any], type[ConvergenceError], str]] = [
        (lambda: clients.gateway.ListCredentials(messages.ListCredentialsRequest(tenant_id=tenant_id)), Unauthenticated, "API_KEY_MISSING"),
        (
            lambda: clients.gateway.ListCredentials(messages.ListCredentialsRequest(tenant_id="other"), metadata=clients.headers),
            PermissionDenied,
            "TENANT_MISMATCH",
        ),
        (
            lambda: clients.sealed_by_gateway.GetSealedCredential(
                sealed_messages.GetSealedCredentialRequest(tenant_id=tenant_id, provider="GCP"), metadata=clients.headers
            ),
            PermissionDenied,
            "CALLER_DENIED",
        ),
        (
            lambda: clients.sealed_by_executor.GetSealedCredential(
                sealed_messages.GetSealedCredentialRequest(tenant_id=tenant_id, provider="GCP")
            ),
            FailedPrecondition,
            "CREDENTIALS_MISSING",
        ),
    ]
    for call, kind, reason in calls:
        with pytest.raises(kind) as caught:
            await call()
        assert caught.value.reason == reason
