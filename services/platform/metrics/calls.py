"""RPCs: how many, how they ended, how long they took."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

UNARY_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 25.0, 35.0, 45.0, 60.0)
"""Up to the gateway's timeout. Edges are the deadlines of a statement (15), of a peer (35) and of a script (45): a call above one of them
has waited in vain.
"""
STREAM_SECONDS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 24 * 3600.0)

CALLS = Counter(
    "convergence_rpc", "RPCs answered. reason is empty for OK, and for a call that its caller gave up", ["method", "code", "reason"]
)
CALL_SECONDS = Histogram(
    "convergence_rpc_seconds", "Seconds from request to answer, of RPCs with one answer", ["method"], buckets=UNARY_SECONDS
)
CALL_STREAM_SECONDS = Histogram(
    "convergence_rpc_stream_seconds", "Seconds that a stream was open; a watch is as long as its run", ["method"], buckets=STREAM_SECONDS
)
CALLS_IN_FLIGHT = Gauge("convergence_rpc_in_flight", "RPCs that have not been answered yet", ["method"])
