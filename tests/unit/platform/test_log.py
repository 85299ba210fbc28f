"""A log line is a JSON object with the fields that Google Cloud Logging reads, also of a library."""

import json
import re
import subprocess
import sys

PROGRAM = """
import contextvars
import logging
import threading
import structlog
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from services.platform import log

log.configure("executor", "info", project="acme-prod")
ours = structlog.get_logger()
ours.info("outside")
with trace.use_span(NonRecordingSpan(SpanContext(0xA, 0xB, is_remote=True, trace_flags=TraceFlags(1)))):
    ours.warning("within", run="r1")
    logging.getLogger("a.library").error("it broke: %s", "why")
try:
    raise ValueError("x")
except ValueError:
    ours.exception("raised")
ours.debug("left out")

def call():
    log.bind(rpc="/a/B", tenant_id="acme")
    log.bind(tenant_id="globex")
    ours.info("said")
    ours.info("own", rpc="/c/D")

contextvars.copy_context().run(call)
thread = threading.Thread(target=lambda: ours.info("thread"))
thread.start()
thread.join()
"""


def test_what_a_line_says() -> None:
    written = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60).stderr
    lines = outside, within, library, raised, said, own, thread = [json.loads(line) for line in written.splitlines()]
    traced = {
        "logging.googleapis.com/trace": f"projects/acme-prod/traces/{0xA:032x}",
        "logging.googleapis.com/spanId": f"{0xB:016x}",
        "logging.googleapis.com/trace_sampled": True,
    }
    times = [line.pop("time") for line in lines]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", time) for time in times)
    assert outside == {"event": "outside", "severity": "INFO", "service": "executor"}
    assert within == {"event": "within", "severity": "WARNING", "service": "executor", "run": "r1", **traced}
    assert library == {"event": "it broke: why", "severity": "ERROR", "service": "executor", "logger": "a.library", **traced}
    assert (raised["severity"], raised["exception"].splitlines()[-1]) == ("ERROR", "ValueError: x")
    shared = {"severity": "INFO", "service": "executor"}
    assert said == {"event": "said", "rpc": "/a/B", "tenant_id": "globex", **shared}
    assert own == {"event": "own", "rpc": "/c/D", "tenant_id": "globex", **shared}, "a line's own field is not its own"
    assert thread == {"event": "thread", **shared}, "said of another task, or a thread's line names no service"
