"""What watchers of a run are sent."""

from convergence.executor.v1 import run_pb2

from services.executor.led_runs import Line
from services.executor.records import Run


class Heartbeat:
    """Keep-alive event for proxies; sent after some time without an event."""


type Status = Run | run_pb2.Run
"""A run comes as a message where another executor has sent it."""
type Event = Status | Line | Heartbeat
