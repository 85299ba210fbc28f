"""What a user's type checker sees. `make check` runs mypy --strict over it; nothing here is executed."""

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from convergence.auth.v1 import quota_service_pb2, tenant_pb2
from convergence.client import AsyncClient, AsyncPages, Client, Pages, errors
from convergence.executor.v1 import cost_pb2, cost_service_pb2, pipeline_service_pb2, run_pb2, watch_service_pb2


def sync(client: Client) -> None:
    assert_type(client.runs.get("run-1"), run_pb2.Run)
    assert_type(client.runs.wait("run-1"), run_pb2.Run)
    assert_type(client.runs.list(), Pages[run_pb2.Run, pipeline_service_pb2.ListRunsResponse])
    assert_type(list(client.runs.list()), list[run_pb2.Run])
    assert_type(client.runs.watch("run-1"), Iterator[watch_service_pb2.RunEvent])
    assert_type(client.quota.get().daily_limit, int)
    assert_type(client.costs.get(start_date="2026-01-01", end_date="2026-01-31").first_page(), cost_service_pb2.GetCostsResponse)
    assert_type(client.with_options(user_id="jo"), Client)
    client.runs.get(1)  # type: ignore[arg-type]
    client.runs.get()  # type: ignore[call-arg]
    client.schedules.create("gcp/cost/billing")  # type: ignore[call-arg]
    Client(token=coroutine)  # type: ignore[arg-type]
    AsyncClient(token=coroutine)


async def coroutine() -> str:
    return "a token"


async def asynchronous(client: AsyncClient) -> None:
    assert_type(await client.quota.get(), quota_service_pb2.GetQuotaResponse)
    assert_type(await client.tenants.get("acme_corp"), tenant_pb2.Tenant)
    assert_type(client.runs.watch("run-1"), AsyncIterator[watch_service_pb2.RunEvent])
    costs = client.costs.get(start_date="2026-01-01", end_date="2026-01-31")
    assert_type(costs, AsyncPages[cost_pb2.Cost, cost_service_pb2.GetCostsResponse])
    assert_type([cost async for cost in costs], list[cost_pb2.Cost])


def refused(error: errors.DailyLimitReached) -> None:
    assert_type(error.reason, str)
    limit: errors.ResourceExhausted = error
    assert_type(limit.request_id, str)
