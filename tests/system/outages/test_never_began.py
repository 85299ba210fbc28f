"""An executor is killed when it has reserved, and before its run's row is written."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
import pytest
from convergence.executor.v1.pipeline_service_pb2_grpc import PipelineServiceStub

from localcloud.stack import Stack
from tests.support.chaos.world import LEASE
from tests.support.credentials.samples import Rsa
from tests.support.strict_bigquery import StrictBigQuery, strict_bigquery
from tests.support.strict_bigquery.refused import backend_error
from tests.system.channels import as_the_gateway, billing
from tests.system.outages.conftest import exporting
from tests.system.tenants import Suite, until

pytestmark = pytest.mark.timeout(240)
KEY = "the-monthly-report"


@dataclass(kw_only=True)
class HeldInsert(StrictBigQuery):
    """Lets everything pass but the statement that writes a run's row: that one arrives here, and never at BigQuery."""

    arrived: threading.Event = field(default_factory=threading.Event)
    dropped: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def statement(self, sql: str, dataset: str) -> Iterator[None]:
        if "INSERT INTO x_meta_pipeline_runs" in sql:
            self.arrived.set()
            self.dropped.wait(60)
            raise backend_error()
        yield


async def test_a_keyed_run_that_never_began_gives_back_what_it_took(stack: Stack, own: Suite, private_key: Rsa) -> None:
    """Its slot and its unit, once and soon, although its id is derived as a scheduled attempt's is. The same key then begins it anew."""
    tenant = await asyncio.to_thread(exporting, own, private_key, daily_limit=1, concurrent_limit=1)
    headers = [("x-api-key", tenant.rest.headers["X-API-Key"]), ("idempotency-key", KEY)]
    held = HeldInsert(upstream=own.local.address("bigquery"))
    with strict_bigquery(held):
        executor = await asyncio.to_thread(stack.add_replica, "executor", extra={"BIGQUERY_EMULATOR_HOST": held.url})
        async with as_the_gateway(own, [executor]) as [channel]:
            call = asyncio.ensure_future(PipelineServiceStub(channel).RunPipeline(billing(tenant), metadata=headers, timeout=60))
            assert await asyncio.to_thread(held.arrived.wait, 60)
            reserved = await asyncio.to_thread(tenant.quota)
            await asyncio.to_thread(stack.kill, "executor-2")
            with pytest.raises(grpc.aio.AioRpcError):
                await call
        held.dropped.set()

    given_back = await asyncio.to_thread(until, tenant.quota, lambda quota: quota["pipelines_run_today"] == 0, seconds=LEASE * 10)
    rest = tenant.rest.but(Idempotency_Key=KEY)
    path = f"/api/v1/pipelines/run/{tenant.tenant_id}/gcp/cost/billing"
    started = await asyncio.to_thread(rest.call, "POST", path, {"date": "2025-11-17"})
    run = await asyncio.to_thread(tenant.finished, started)
    quota = await asyncio.to_thread(until, tenant.quota, lambda quota: not quota["concurrent_pipelines_running"], seconds=LEASE * 10)

    assert (reserved["pipelines_run_today"], reserved["concurrent_pipelines_running"]) == (1, 1)
    assert (given_back["pipelines_run_month"], given_back["concurrent_pipelines_running"], given_back["refusing_limit"]) == (0, 0, "")
    assert run["status"] == "COMPLETED"
    assert (quota["pipelines_run_today"], quota["pipelines_run_month"], quota["pipelines_succeeded_today"]) == (1, 1, 1)
