"""What REST clients get as responses, and what services get of a REST call."""

from typing import Any

import grpc
import pytest
from convergence.auth.v1 import quota_service_pb2, tenant_pb2, tenant_service_pb2
from convergence.executor.v1 import pipeline_service_pb2, run_pb2
from google.protobuf import struct_pb2

from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.upstream import Upstream

# One Envoy for all of these.
type Context = grpc.aio.ServicerContext[Any, Any]


async def test_path_and_body_become_the_request(gateway: Gateway, auth: Upstream) -> None:
    """`tenant_id` comes from the path, the rest from the body, and absent limits stay absent."""
    await gateway.call("PUT", "/api/v1/tenants/acme", json={"company_name": "Acme", "daily_limit": 0})

    assert [call.path for call in auth.seen] == ["/convergence.auth.v1.TenantService/PutTenant"]
    request = auth.seen[0].request
    assert request == tenant_service_pb2.PutTenantRequest(tenant_id="acme", company_name="Acme", daily_limit=0)
    assert not request.HasField("monthly_limit")


async def test_a_struct_body_arrives_whole(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    """The documented run call: the body is the parameters, any JSON object."""
    await gateway.call("POST", "/api/v1/pipelines/run/acme/gcp/cost/billing", json={"date": "2025-11-17", "deep": {"n": 1}})

    request = upstreams["executor"].seen[0].request
    assert (request.tenant_id, request.provider, request.domain, request.template) == ("acme", "gcp", "cost", "billing")
    expected = struct_pb2.Struct()
    expected.update({"date": "2025-11-17", "deep": {"n": 1}})
    assert request.parameters == expected


async def test_the_answers_fields_have_their_documented_names_and_types(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    """snake_case, zeros and empty strings printed, int32 a number, int64 a string, absent optionals absent."""

    async def quota(_: object, __: Context) -> quota_service_pb2.GetQuotaResponse:
        return quota_service_pb2.GetQuotaResponse(tenant_id="acme", pipelines_run_today=0, daily_limit=25)

    async def run(_: object, __: Context) -> run_pb2.Run:
        return run_pb2.Run(rows_processed=0, duration_ms=2**40)

    upstreams["auth"].answer = quota
    answer = await gateway.call("GET", "/api/v1/tenants/acme/quota")
    body = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert (body["tenant_id"], body["usage_date"], body["pipelines_run_today"], body["daily_limit"]) == ("acme", "", 0, 25)
    assert "monthly_limit" not in body

    upstreams["executor"].answer = run
    body = (await gateway.call("GET", "/api/v1/pipelines/runs/acme/some-run")).json()
    assert (body["rows_processed"], body["duration_ms"], body["steps"]) == ("0", str(2**40), [])


async def test_query_parameters_become_fields(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    await gateway.call("GET", "/api/v1/pipelines/runs/acme?status=FAILED&page_size=7")

    expected = pipeline_service_pb2.ListRunsRequest(tenant_id="acme", status="FAILED", page_size=7)
    assert upstreams["executor"].seen[0].request == expected


async def test_headers_become_metadata(gateway: Gateway, auth: Upstream) -> None:
    keys = {"X-API-Key": "k", "X-User-ID": "alice", "X-Admin-Key": "a"}
    await gateway.call("GET", "/api/v1/tenants/acme/quota", headers=keys)

    metadata = auth.seen[0].metadata
    assert (metadata["x-api-key"], metadata["x-user-id"], metadata["x-admin-key"]) == ("k", "alice", "a")


async def test_an_answer_of_three_megabytes_passes(gateway: Gateway, auth: Upstream) -> None:
    async def big(_: object, __: Context) -> tenant_service_pb2.PutTenantResponse:
        return tenant_service_pb2.PutTenantResponse(tenant=tenant_pb2.Tenant(company_name="x" * 3_000_000))

    auth.answer = big
    body = (await gateway.call("PUT", "/api/v1/tenants/acme", json={})).json()
    assert len(body["tenant"]["company_name"]) == 3_000_000


@pytest.mark.parametrize("path", ["/api/v1/tenants/a%2Fb/quota", "/api/v1/tenants/a%27%20OR%201/quota", "/api/v1/tenants/%E2%98%83/quota"])
async def test_hostile_path_values_reach_the_service_to_be_refused_there(gateway: Gateway, auth: Upstream, path: str) -> None:
    """Only the service can name the field in its refusal."""
    assert (await gateway.call("GET", path)).status_code == 200
    assert len(auth.seen) == 1
