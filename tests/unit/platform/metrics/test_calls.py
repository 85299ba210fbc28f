"""What is counted of a call: by method, code and reason, while it is in flight, and streams apart."""

import asyncio
from typing import Any, cast

import pytest
from convergence.auth.v1 import quota_service_pb2 as messages
from convergence.executor.v1 import watch_service_pb2
from prometheus_client import REGISTRY

from services.platform.errors import ResourceExhausted
from services.platform.rpc.calls import Call, Rpc
from services.platform.rpc.report import report

UNARY = "/convergence.auth.v1.QuotaService/GetQuota"
STREAM = f"/{watch_service_pb2.DESCRIPTOR.services_by_name['WatchService'].full_name}/WatchRun"


class Context:
    def time_remaining(self) -> float | None:
        return None

    async def abort_with_status(self, status: Any) -> None:
        self.status = status


def call() -> Call:
    return Call(request=messages.GetQuotaRequest(tenant_id="acme_corp"), context=cast("Any", Context()), metadata={})


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_a_refusal_is_counted_with_its_reason() -> None:
    async def refuse(_: Call) -> None:
        raise ResourceExhausted("DAILY_LIMIT_REACHED", "Enough for today.")

    labels = {"method": UNARY, "code": "RESOURCE_EXHAUSTED", "reason": "DAILY_LIMIT_REACHED"}
    before = value("convergence_rpc_total", **labels)
    await report(Rpc.of(UNARY), refuse)(call())
    assert value("convergence_rpc_total", **labels) - before == 1


async def test_a_call_is_in_flight_until_it_is_answered_also_when_its_caller_goes_away() -> None:
    entered = asyncio.Event()

    async def hang(_: Call) -> None:
        entered.set()
        await asyncio.Event().wait()

    labels = {"method": UNARY, "code": "CANCELLED", "reason": ""}
    before = value("convergence_rpc_total", **labels)
    task = asyncio.create_task(cast("Any", report(Rpc.of(UNARY), hang)(call())))
    await entered.wait()
    assert value("convergence_rpc_in_flight", method=UNARY) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert value("convergence_rpc_in_flight", method=UNARY) == 0
    assert value("convergence_rpc_total", **labels) - before == 1


@pytest.mark.parametrize(("path", "metric"), [(UNARY, "convergence_rpc_seconds"), (STREAM, "convergence_rpc_stream_seconds")])
async def test_streams_are_timed_apart(path: str, metric: str) -> None:
    async def answer(_: Call) -> None:
        """At once."""

    assert Rpc.of(path).method is not None

    def counted() -> dict[str, float]:
        return {name: value(f"{name}_count", method=path) for name in ("convergence_rpc_seconds", "convergence_rpc_stream_seconds")}

    before = counted()
    await report(Rpc.of(path), answer)(call())
    assert {name for name, count in counted().items() if count > before[name]} == {metric}
