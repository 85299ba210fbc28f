"""How spans are made while tracing is on."""

from typing import override

from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from services.platform.tracing.tracer import SCOPE, root_trace_id


class _TraceIds(RandomIdGenerator):
    """A root span gets the trace id that was chosen for it before."""

    @override
    def generate_trace_id(self) -> int:
        return root_trace_id.get() or super().generate_trace_id()


def provider(processor: SpanProcessor, service: str) -> TracerProvider:
    """Makes the spans of a service. `tracer` decides which are recorded; OTEL_RESOURCE_ATTRIBUTES may say more about where it runs."""
    resource = Resource.create({SERVICE_NAME: service, SERVICE_NAMESPACE: SCOPE})
    made = TracerProvider(sampler=ParentBased(ALWAYS_ON), resource=resource, id_generator=_TraceIds(), shutdown_on_exit=False)
    made.add_span_processor(processor)
    return made
