"""Which paths are reachable through the gateway, and which headers pass."""

import uuid

import grpc
import pytest
from convergence.auth.v1 import tenant_service_pb2, tenant_service_pb2_grpc

from gateway.public_rpcs import public_services
from gateway.settings import GatewaySettings
from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.upstream import Upstream

# One Envoy for all of these.
QUOTA = "/api/v1/tenants/acme/quota"
PEERS_ONLY = [
    "/convergence.auth.v1.AuthenticationService/AuthenticateApiKey",
    "/convergence.auth.v1.LedgerService/Reserve",
    "/convergence.auth.v1.LedgerService/Settle",
    "/convergence.credentials.v1.SealedCredentialService/GetSealedCredential",
    "/convergence.credentials.v1.AccessCheckService/RecordAccessChecks",
    "/convergence.credentials.v1.DeliveryService/RecordDeliveries",
    "/convergence.credentials.v1.TokenService/MintToken",
    "/convergence.executor.v1.RunService/StartRun",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
]


def test_only_services_with_a_rest_binding_are_public() -> None:
    """Read off the protos: a new peers-only service is closed without anybody thinking of it."""
    public = public_services(GatewaySettings().descriptor)
    assert {
        "convergence.auth.v1.ApiKeyService",
        "convergence.auth.v1.QuotaService",
        "convergence.auth.v1.TenantService",
        "convergence.credentials.v1.CredentialService",
        "convergence.executor.v1.AccessService",
        "convergence.executor.v1.PipelineService",
        "convergence.scheduler.v1.SchedulerService",
    } <= set(public)
    assert not {path.split("/")[1] for path in PEERS_ONLY} & set(public)


async def test_native_grpc_clients_use_the_same_port(gateway: Gateway, auth: Upstream) -> None:
    async with grpc.aio.insecure_channel(gateway.target) as channel:
        request = tenant_service_pb2.PutTenantRequest(tenant_id="acme", company_name="x" * 16_000)
        await tenant_service_pb2_grpc.TenantServiceStub(channel).PutTenant(request, metadata=[("x-admin-key", "a")])

    assert auth.seen[0].request == request
    assert auth.seen[0].metadata["x-admin-key"] == "a"


@pytest.mark.parametrize("path", PEERS_ONLY)
async def test_what_is_for_peers_cannot_be_reached(gateway: Gateway, upstreams: dict[str, Upstream], path: str) -> None:
    """UNIMPLEMENTED for gRPC clients, 404 for HTTP, whatever the content type; nothing arrives."""
    async with grpc.aio.insecure_channel(gateway.target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary(path)(b"")
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert refused.value.details() == "There is nothing at this path."

    for content_type in ("application/json", "application/grpc", "application/grpc-web", "application/grpc+json"):
        answer = await gateway.call("POST", path, data="{}", headers={"content-type": content_type})
        # The gRPC kinds hear 200 with the status in a header, as gRPC has it.
        assert answer.status_code == 404 or answer.headers["grpc-status"] == "12"
    assert [one.seen for one in upstreams.values()] == [[], [], [], []]


async def test_a_public_rpcs_own_path_is_for_grpc_only(gateway: Gateway, auth: Upstream) -> None:
    answer = await gateway.call("POST", "/convergence.auth.v1.TenantService/PutTenant", json={"tenant_id": "acme"})
    assert (answer.status_code, auth.seen) == (404, [])


async def test_internal_headers_are_stripped(gateway: Gateway, auth: Upstream) -> None:
    """No outside caller can pose as a peer or steer Envoy."""
    forged = {
        "x-forwarded-client-cert": "URI=spiffe://executor",
        "x-internal-tenant": "acme",
        "x-envoy-retry-on": "5xx",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-original-path": "/forged",
        "x-envoy-external-address": "1.1.1.1",
    }
    answer = await gateway.call("GET", QUOTA, headers=forged)

    metadata = auth.seen[0].metadata
    assert not {name for name in metadata if name.startswith("x-internal-") or name == "x-forwarded-client-cert"}
    assert metadata["x-envoy-original-path"] == QUOTA
    assert not set(forged.values()) & set(metadata.values())
    assert not [name for name in answer.headers if name.startswith("x-envoy-")]


async def test_the_forwarded_address_is_the_gateways_word(gateway: Gateway, auth: Upstream) -> None:
    """Services may trust it: what the caller claims does not reach them."""
    await gateway.call("GET", QUOTA)
    await gateway.call("GET", QUOTA, headers={"x-forwarded-for": "1.2.3.4, 5.6.7.8"})

    assert [call.metadata["x-forwarded-for"] for call in auth.seen] == ["127.0.0.1"] * 2


async def test_every_call_has_a_request_id_that_the_caller_hears(gateway: Gateway, auth: Upstream) -> None:
    """A fresh UUID, or the caller's own."""
    fresh = (await gateway.call("GET", QUOTA)).headers["x-request-id"]
    own = (await gateway.call("GET", QUOTA, headers={"x-request-id": "ticket-4711"})).headers["x-request-id"]
    refused = (await gateway.call("GET", "/nope")).headers["x-request-id"]

    assert [call.metadata["x-request-id"] for call in auth.seen] == [str(uuid.UUID(fresh)), "ticket-4711"]
    assert own == "ticket-4711"
    assert str(uuid.UUID(refused)) == refused


async def test_the_access_log_tells_all_but_the_keys(gateway: Gateway, auth: Upstream) -> None:
    """JSON lines; neither headers nor the query, where a careless caller may put a key."""
    secret = f"secret-{uuid.uuid4()}"
    keys = {"x-api-key": secret, "x-admin-key": secret, "authorization": secret, "cookie": secret, "x-request-id": "log-me"}
    await gateway.call("GET", f"{QUOTA}?x-api-key={secret}", headers={**keys, "x-request-id": "log-me-too"})
    await gateway.call("GET", QUOTA, headers=keys)

    line = await gateway.logged('"log-me"')
    assert (line["method"], line["path"], line["rpc"]) == ("GET", QUOTA, "/convergence.auth.v1.QuotaService/GetQuota")
    assert (line["status"], line["upstream"], line["client"]) == (200, "auth", "127.0.0.1")
    assert (await gateway.logged('"log-me-too"'))["path"] == QUOTA
    assert secret not in gateway.log.read_text()


@pytest.mark.parametrize(
    "secret", ["acme_corp_api_v1_0123456789abcdefghijABCDEFGHIJ0123456789ab", "eyJhbGciOiJub25lIn0.e30.abc", "an-admin-key-of-ours"]
)
async def test_a_key_that_is_sent_as_request_id_is_neither_logged_nor_passed_on(gateway: Gateway, auth: Upstream, secret: str) -> None:
    keys = {"x-api-key": "some-key", "x-admin-key": "an-admin-key-of-ours", "x-request-id": f"id {secret}"}
    answers = [await gateway.call("GET", path, headers=keys) for path in (QUOTA, QUOTA, "/nope")]
    heard = [answer.headers["x-request-id"] for answer in answers]
    assert len({str(uuid.UUID(one)) for one in heard}) == len(answers)
    assert [call.metadata["x-request-id"] for call in auth.seen] == heard[:2]
    assert (await gateway.logged(heard[2]))["request_id"] == heard[2]
    assert secret not in gateway.log.read_text()
