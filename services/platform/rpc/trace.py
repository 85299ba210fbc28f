"""The span of a call that is served.

The interceptor of OpenTelemetry's own package would see a refusal as a success: it is sent by `abort_with_status`, which passes it by.
"""

from typing import Any

from opentelemetry.trace import SpanKind

from services.platform.rpc.calls import Call, Rpc, Step
from services.platform.tracing import calls, propagation, tracer


def traced(rpc: Rpc, proceed: Step) -> Step:
    """The outermost interceptor, around `report`, which says how the call was answered. A call that comes without a trace gets none."""
    if not tracer.is_on():
        return proceed
    name, attributes = calls.of_rpc(rpc.path)

    async def served(call: Call) -> Any:
        with tracer.within(propagation.read(call.metadata), name, attributes, kind=SpanKind.SERVER):
            return await proceed(call)

    return served
