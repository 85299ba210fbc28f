"""What the gateway records of a call, and what it passes on."""

import asyncio
import uuid

import grpc
import pytest
from convergence.auth.v1.quota_service_pb2 import GetQuotaRequest
from convergence.auth.v1.quota_service_pb2_grpc import QuotaServiceStub

from tests.integration.gateway.conftest import COLLECTOR_HEADERS, METADATA, Gateway
from tests.integration.gateway.upstream import Upstream
from tests.support.collector import Collector
from tests.support.spans import CALLER

QUOTA = "/api/v1/tenants/acme/quota"


def traceparent(trace_id: str, flags: str) -> dict[str, str]:
    return {"traceparent": f"00-{trace_id}-{CALLER[1]}-{flags}"}


def passed_on(upstream: Upstream) -> list[str]:
    """`traceparent` of the last call: its parts."""
    return upstream.seen[-1].metadata["traceparent"].split("-")


async def seen(collector: Collector, trace_id: str) -> None:
    """Envoy sends its spans after a second."""
    await asyncio.to_thread(collector.until, lambda spans: any(span.trace_id == trace_id for span in spans))


async def test_a_callers_trace_goes_on_and_holds_no_query_and_no_secret(gateway: Gateway, auth: Upstream, collector: Collector) -> None:
    trace_id, native, refused = (uuid.uuid4().hex for _ in range(3))
    await gateway.call("GET", QUOTA, headers=traceparent(trace_id, "01"))
    _, trace, parent, flags = passed_on(auth)
    async with grpc.aio.insecure_channel(gateway.target) as channel:
        call = QuotaServiceStub(channel).GetQuota(
            GetQuotaRequest(tenant_id="acme"), metadata=(*METADATA, *traceparent(native, "01").items())
        )
        await call
    assert passed_on(auth)[1] == native
    assert (await gateway.call("GET", f"{QUOTA}?token=s3cret", headers=traceparent(refused, "01"))).status_code == 400
    for one in (trace_id, native, refused):
        await seen(collector, one)
    [span] = collector.trace(trace_id)
    assert (trace, parent, flags) == (trace_id, span.span_id, "01")
    assert (span.service, span.name, span.parent) == ("gateway", "convergence.auth.v1.QuotaService/GetQuota", CALLER[1])
    assert (span.attributes["http.url"], span.attributes["http.status_code"]) == (QUOTA, "200")
    [of_refused] = collector.trace(refused)
    assert (of_refused.name, of_refused.attributes["http.url"]) == (span.name, QUOTA)
    assert "s3cret" not in str([one.raw for one in collector.spans])
    assert METADATA[0][1] not in str([one.raw for one in collector.spans])
    assert {one["authorization"] for one in collector.metadata} == set(COLLECTOR_HEADERS.values())
    assert COLLECTOR_HEADERS["Authorization"] not in (gateway.log.parent / "envoy.yaml").read_text()
    line = await gateway.logged(trace_id)
    assert line["logging.googleapis.com/trace"] == f"projects/acme-prod/traces/{trace_id}"
    assert line["logging.googleapis.com/spanId"] == span.span_id


async def test_a_call_that_starts_runs_is_recorded_always_and_its_request_id_stays(
    gateway: Gateway, upstreams: dict[str, Upstream], collector: Collector
) -> None:
    """By its id Envoy draws, and might write into it what it has drawn."""
    identity = str(uuid.uuid4())
    answer = await gateway.call("POST", "/api/v1/scheduler/process-queue", json={}, headers={"x-request-id": identity})
    assert answer.headers["x-request-id"] == upstreams["scheduler"].seen[-1].metadata["x-request-id"] == identity
    _, trace_id, _, flags = passed_on(upstreams["scheduler"])
    assert flags == "01"
    await seen(collector, trace_id)


@pytest.mark.parametrize("headers", [{}, {"x-client-trace-id": "1"}, {"x-envoy-force-trace": "1"}, traceparent(uuid.UUID(int=9).hex, "00")])
async def test_what_is_not_recorded_has_a_trace_all_the_same(gateway: Gateway, auth: Upstream, headers: dict[str, str]) -> None:
    await gateway.call("GET", QUOTA, headers=headers)
    assert passed_on(auth)[3] == "00"
    assert passed_on(auth)[1] == uuid.UUID(int=9).hex or "traceparent" not in headers


async def test_nothing_of_probes_and_documents_is_recorded(gateway: Gateway, collector: Collector) -> None:
    paths = ("/healthz", "/readyz", "/openapi.json")
    for path in paths:
        await gateway.keyless("GET", path)
    trace_id = uuid.uuid4().hex
    await gateway.call("GET", QUOTA, headers=traceparent(trace_id, "01"))
    await seen(collector, trace_id)
    assert [url for span in collector.spans if (url := str(span.attributes.get("http.url", ""))).endswith(paths)] == []
