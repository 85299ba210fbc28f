"""Spans are recorded inside recorded ones, and carry no text."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from unittest.mock import AsyncMock, Mock

import grpc
import pytest
from convergence.auth.v1.quota_service_pb2 import GetQuotaRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span
from prometheus_client import REGISTRY

from services.platform.errors import NotFound, ResourceExhausted, Unavailable
from services.platform.group_commit import GroupCommit
from services.platform.rpc.calls import Call, Rpc
from services.platform.rpc.report import report
from services.platform.rpc.trace import traced
from services.platform.trace_export.bounded import BoundedQueue
from services.platform.trace_export.provider import provider
from services.platform.tracing import propagation, tracer
from tests.support.spans import CALLER, SAMPLED, UNSAMPLED, kept_spans

TRACE = "0" * 31 + "7"


@pytest.fixture
def kept() -> Iterator[InMemorySpanExporter]:
    with kept_spans() as kept:
        yield kept


def spans(kept: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in kept.get_finished_spans()}


def test_nothing_is_recorded_outside_of_a_recorded_span(kept: InMemorySpanExporter) -> None:
    with tracer.span("lone"):
        assert propagation.headers() == {}
    assert kept.get_finished_spans() == ()


def test_a_callers_trace_is_gone_on_with(kept: InMemorySpanExporter) -> None:
    caller = propagation.read({"traceparent": SAMPLED})
    with tracer.within(caller, "served", {}, kind=SpanKind.SERVER), tracer.span("asked", {"rpc.method": "x"}):
        sent = propagation.headers()["traceparent"]
    served, asked = spans(kept)["served"], spans(kept)["asked"]
    assert served.parent is not None
    assert asked.parent is not None
    assert (f"{served.context.trace_id:032x}", f"{served.parent.span_id:016x}") == CALLER
    assert asked.parent.span_id == served.context.span_id
    assert sent.startswith(f"00-{CALLER[0]}-{asked.context.span_id:016x}-")


def test_an_unsampled_trace_is_passed_on_and_not_recorded(kept: InMemorySpanExporter) -> None:
    with tracer.within(propagation.read({"traceparent": UNSAMPLED}), "served", {}, kind=SpanKind.SERVER), tracer.span("asked"):
        assert propagation.headers()["traceparent"] == UNSAMPLED
        assert tracer.trace_id() is None
    assert kept.get_finished_spans() == ()


@pytest.mark.parametrize("sent", ["", "garbage", f"00-{'0' * 32}-{CALLER[1]}-01", SAMPLED.upper() + "x"])
def test_a_traceparent_that_is_none_is_no_trace(kept: InMemorySpanExporter, sent: str) -> None:
    assert propagation.read({"traceparent": sent}) is None


def test_a_run_has_a_trace_of_its_own_with_a_link_to_its_cause(kept: InMemorySpanExporter) -> None:
    with tracer.within(propagation.read({"traceparent": SAMPLED}), "served", {}, kind=SpanKind.SERVER):
        with tracer.root("run", {"convergence.attempt": 1}, of_trace=TRACE), tracer.span("step"):
            assert tracer.trace_id() == TRACE
        assert tracer.trace_id() == CALLER[0]
    run, step, served = (spans(kept)[name] for name in ("run", "step", "served"))
    assert run.parent is None
    assert {run.context.trace_id, step.context.trace_id} == {7}
    assert [link.context for link in run.links] == [served.context]


def test_what_goes_on_after_its_span_has_ended_still_belongs_to_it(kept: InMemorySpanExporter) -> None:
    with tracer.root("run", {}, of_trace=TRACE):
        later = copy_context()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(later.run, _one_more).result()
    assert spans(kept)["in a thread"].context.trace_id == 7


def _one_more() -> None:
    with tracer.span("in a thread"):
        pass


def test_errors_leave_code_and_reason_and_no_text(kept: InMemorySpanExporter) -> None:
    def fail(name: str, error: BaseException) -> ReadableSpan:
        with pytest.raises(type(error)), tracer.root("run", {}, of_trace=TRACE), tracer.span(name):
            raise error
        return spans(kept)[name]

    refused = fail("refused", NotFound("RUN_NOT_FOUND", "There is no run s3cret."))
    broken = fail("broken", ValueError("s3cret"))
    cancelled = fail("cancelled", asyncio.CancelledError())
    down = fail("down", Unavailable("BIGQUERY_UNAVAILABLE", "s3cret"))
    assert dict(refused.attributes or {}) == {
        "error.type": "NOT_FOUND",
        "rpc.response.status_code": "NOT_FOUND",
        "convergence.reason": "RUN_NOT_FOUND",
    }
    assert dict(broken.attributes or {}) == {"error.type": "ValueError"}
    assert {one.status.status_code for one in (broken, down)} == {StatusCode.ERROR}
    assert {one.status.status_code for one in (refused, cancelled)} == {StatusCode.UNSET}
    assert "s3cret" not in "".join(span.to_json() for span in kept.get_finished_spans())


async def test_a_batch_is_done_in_one_callers_trace_and_linked_with_the_others(kept: InMemorySpanExporter) -> None:
    async def flush(items: Sequence[int]) -> Sequence[int]:
        with tracer.span(f"flush {len(items)}"):
            return items

    async def call(number: int) -> None:
        with tracer.root(f"call {number}", {}, of_trace=f"{number + 1:032x}"):
            await commits.submit(number)

    async with GroupCommit(flush) as commits:
        await call(9)
        await asyncio.gather(*map(call, range(3)))
    found = spans(kept)
    alone, batch, together = found["flush 1"], found["batch"], found["flush 3"]
    assert alone.parent == found["call 9"].context
    assert (batch.parent, together.parent) == (found["call 0"].context, batch.context)
    assert [link.context for link in batch.links] == [found["call 1"].context, found["call 2"].context]
    assert [link.context for name in ("call 1", "call 2") for link in found[name].links] == [batch.context] * 2


async def test_a_batch_does_not_stay_in_the_trace_of_the_first_one(kept: InMemorySpanExporter) -> None:
    """The task that flushes is begun by the first caller, and goes on for others."""
    seen = list[str | None]()

    async def flush(items: Sequence[str | None]) -> Sequence[None]:
        seen.append(tracer.trace_id())
        if len(seen) == 1:
            later.append(asyncio.create_task(commits.submit(None), context=untraced))
            await asyncio.sleep(0)
        return [None] * len(items)

    later, untraced = list[asyncio.Task[None]](), copy_context()
    async with GroupCommit(flush) as commits:
        with tracer.root("call", {}, of_trace=TRACE):
            await commits.submit("first")
        await asyncio.gather(*later)
    assert seen == [TRACE, None]


def test_off_costs_no_trace_ids() -> None:
    assert tracer.new_trace_id() is None
    with tracer.within(propagation.read({"traceparent": SAMPLED}), "served", {}, kind=SpanKind.SERVER):
        assert not get_current_span().get_span_context().is_valid
        with tracer.root("run", {}, of_trace=None):
            assert propagation.headers() == {}


class Busy(SpanExporter):
    """A collector that takes nothing until `answers` is set."""

    def __init__(self, result: SpanExportResult) -> None:
        self.answers, self.taken, self._result = threading.Event(), list[str](), result

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        assert self.answers.wait(30)
        self.taken += [span.name for span in spans]
        return self._result


@pytest.mark.parametrize(("result", "ending"), [(SpanExportResult.SUCCESS, "sent"), (SpanExportResult.FAILURE, "failed")])
def test_what_the_queue_cannot_hold_is_dropped_and_counted(result: SpanExportResult, ending: str) -> None:
    def counted() -> dict[str, float]:
        return {name: REGISTRY.get_sample_value("convergence_spans_total", {"ending": name}) or 0.0 for name in ("dropped", ending)}

    before, busy = counted(), Busy(result)
    queue = BoundedQueue(busy, max_waiting=3)
    made = provider(queue, "test").get_tracer("test")
    for number in range(5):
        made.start_span(f"span {number}").end()
    busy.answers.set()
    queue.shutdown()
    assert sorted(busy.taken) == ["span 0", "span 1", "span 2"]
    assert {name: value - before[name] for name, value in counted().items()} == {"dropped": 2, ending: 3}


def test_unavailable_is_the_servers_fault_and_a_refusal_the_callers(kept: InMemorySpanExporter) -> None:
    for code, reason in ((Unavailable.code.name, "BIGQUERY_UNAVAILABLE"), ("RESOURCE_EXHAUSTED", "DAILY_LIMIT_REACHED"), ("OK", None)):
        with tracer.root(code, {}, of_trace=TRACE):
            tracer.note_answer(code, reason)
    assert {name: span.status.status_code for name, span in spans(kept).items()} == {
        "UNAVAILABLE": StatusCode.ERROR,
        "RESOURCE_EXHAUSTED": StatusCode.UNSET,
        "OK": StatusCode.UNSET,
    }


async def test_a_refused_call_has_code_and_reason_and_not_how_it_was_sent(kept: InMemorySpanExporter) -> None:
    """GRPC sends a refusal by an exception of its own."""

    async def refuse(call: Call) -> None:
        raise ResourceExhausted("DAILY_LIMIT_REACHED", "s3cret")

    rpc = Rpc.of("/convergence.auth.v1.QuotaService/GetQuota")
    context = Mock(time_remaining=lambda: None, abort_with_status=AsyncMock(side_effect=grpc.aio.AbortError))
    call = Call(request=GetQuotaRequest(tenant_id="acme"), context=context, metadata={"traceparent": SAMPLED, "x-request-id": "r1"})
    with pytest.raises(grpc.aio.AbortError):
        await traced(rpc, report(rpc, refuse))(call)
    [span] = kept.get_finished_spans()
    assert (span.name, span.kind, span.status.status_code) == (rpc.path[1:], SpanKind.SERVER, StatusCode.UNSET)
    assert dict(span.attributes or {}) == {
        "rpc.system.name": "grpc",
        "rpc.method": "convergence.auth.v1.QuotaService/GetQuota",
        "rpc.response.status_code": "RESOURCE_EXHAUSTED",
        "error.type": "RESOURCE_EXHAUSTED",
        "convergence.reason": "DAILY_LIMIT_REACHED",
        "convergence.request_id": "r1",
        "convergence.tenant_id": "acme",
    }
