"""A receiver of OTLP traces over gRPC, in the place of an OpenTelemetry collector."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, override

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceServicer, add_TraceServiceServicer_to_server
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SEEN_WITHIN = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A span, as the collector reads it."""

    service: str
    name: str
    kind: str
    """E.g. SERVER."""
    trace_id: str
    span_id: str
    parent: str
    """Empty: it is the first of its trace."""
    status: str
    """OK, ERROR or UNSET."""
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    """Trace and span."""
    raw: Span = field(repr=False)


@dataclass(kw_only=True, slots=True)
class Collector(TraceServiceServicer):
    """What has arrived."""

    endpoint: str = ""
    spans: list[Received] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    """Of each call."""

    @override
    def Export(self, request: messages.ExportTraceServiceRequest, context: Any) -> messages.ExportTraceServiceResponse:
        self.metadata.append({name: value for name, value in context.invocation_metadata() if isinstance(value, str)})
        for resource in request.resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            self.spans += [_received(service, span) for scope in resource.scope_spans for span in scope.spans]
        return messages.ExportTraceServiceResponse()

    def trace(self, trace_id: str) -> list[Received]:
        """The spans of a trace so far."""
        return [span for span in list(self.spans) if span.trace_id == trace_id]

    def until(self, is_there: Callable[[Sequence[Received]], bool]) -> None:
        """Returns once what has arrived is enough. Raises TimeoutError."""
        deadline = time.monotonic() + SEEN_WITHIN
        while not is_there(list(self.spans)):
            if time.monotonic() > deadline:
                raise TimeoutError([(span.service, span.name, span.trace_id) for span in self.spans])
            time.sleep(0.05)


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a port of its own, in threads."""
    with ThreadPoolExecutor(2, thread_name_prefix="collector") as threads:
        collector, server = Collector(), grpc.server(threads)
        add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
        collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield collector
        finally:
            server.stop(0).wait()


def _received(service: str, span: Span) -> Received:
    return Received(
        service=service,
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        status={0: "UNSET", 1: "OK", 2: "ERROR"}[span.status.code],
        attributes=_attributes(span.attributes),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        raw=span,
    )


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}
