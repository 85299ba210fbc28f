"""Envoy's statistics have a listener of their own, which serves nothing else of its own pages."""

import asyncio

import pytest
import requests

from tests.integration.gateway.conftest import Gateway


async def ask(gateway: Gateway, method: str, path: str) -> requests.Response:
    """Sent as it is written: the library would take dots out of the path."""
    request = requests.Request(method, f"http://127.0.0.1:{gateway.stats_port}/").prepare()
    request.url = f"http://127.0.0.1:{gateway.stats_port}{path}"
    return await asyncio.to_thread(requests.Session().send, request, timeout=10)


async def test_prometheus_reads_what_the_gateway_has_counted(gateway: Gateway) -> None:
    await gateway.call("GET", "/api/v1/tenants/acme/quota")
    answer = await ask(gateway, "GET", "/metrics")
    assert answer.status_code == 200
    assert 'envoy_http_downstream_rq_xx{envoy_response_code_class="2",envoy_http_conn_manager_prefix="edge"}' in answer.text
    assert 'envoy_cluster_upstream_rq_total{envoy_cluster_name="auth"}' in answer.text
    assert "envoy_server_concurrency{} 1\n" in answer.text, "a worker for each core, whose callers would not wait equally long"


@pytest.mark.parametrize(
    "path",
    ["/", "/stats", "/stats/prometheus", "/config_dump", "/certs", "/metrics/", "/metrics/../config_dump", "/api/v1/scheduler/status"],
)
async def test_nothing_else_is_there(gateway: Gateway, path: str) -> None:
    assert (await ask(gateway, "GET", path)).status_code == 404


@pytest.mark.parametrize("path", ["/metrics", "/quitquitquit", "/healthcheck/fail"])
async def test_nothing_can_be_done_there(gateway: Gateway, path: str) -> None:
    assert (await ask(gateway, "POST", path)).status_code == 404
    assert (await gateway.call("GET", "/healthz")).ok


async def test_a_query_changes_nothing(gateway: Gateway) -> None:
    """Envoy's page takes options: a histogram's buckets, a filter that may be slow."""
    answer = await ask(gateway, "GET", "/metrics?filter=nothing")
    assert "envoy_cluster_upstream_rq_total" in answer.text
