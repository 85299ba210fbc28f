"""What a process is, how it fares, and what it reports in the background."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import grpc
from google.api_core import exceptions as google
from prometheus_client import Counter, Gauge, Histogram

VERSION: Final = "0.1.0"
"""As in pyproject.toml, which images do not have."""

BUILD_INFO = Gauge("convergence_build_info", "Always 1; its labels say what this process was built from", ["version", "commit"])
TLS_EXPIRY = Gauge(
    "convergence_tls_expiry_timestamp_seconds",
    "When a certificate in use expires: the service's own, or ca: the last one",
    ["name"],
)
EVENT_LOOP_LAG = Gauge("convergence_event_loop_lag_seconds", "How late the event loop ran what was due a tenth of a second ago")
EVENT_LOOP_LAG_MAX = Gauge("convergence_event_loop_lag_max_seconds", "The greatest such delay of the last minute")
KMS_SECONDS = Histogram(
    "convergence_kms_seconds",
    "Seconds of one call of Cloud KMS. code is gRPC's; DATA_LOSS: the answer was damaged",
    ["op", "code"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
JOB_LAST_SUCCESS = Gauge(
    "convergence_job_last_success_timestamp_seconds",
    "When a call of this Cloud Scheduler job last ended well in this process; 0: not since it started",
    ["job_name"],
)
LEASES_LOST = Counter(
    "convergence_leases_lost", "Lost: slot (a run's reservation), claim (of a queued run), or overdue (a run without an executor)", ["kind"]
)
AUDIT_ENTRIES = Counter(
    "convergence_audit_entries",
    "Entries of the audit log: written, delayed (will be sent again), or dropped, which must not happen",
    ["ending"],
)
AUDIT_WAITING = Gauge("convergence_audit_waiting", "Entries of the audit log that are not stored yet")
SPANS = Counter("convergence_spans", "Spans of traces: sent, failed, or dropped because too many waited", ["ending"])
REPORT_ROWS = Counter("convergence_report_rows", "Rows for operators, written in the background: written, or dropped", ["table", "ending"])

# So that an alert has a zero to rise from.
for _ending in ("written", "delayed", "dropped"):
    AUDIT_ENTRIES.labels(_ending)
for _ending in ("sent", "failed", "dropped"):
    SPANS.labels(_ending)
for _kind in ("slot", "claim", "overdue"):
    LEASES_LOST.labels(_kind)


def show_build(commit: str) -> None:
    """Shows what this process was built from."""
    BUILD_INFO.labels(VERSION, commit).set(1)


def expect_jobs(names: Iterable[str]) -> None:
    """Shows that these jobs call this process, before they have."""
    for name in names:
        JOB_LAST_SUCCESS.labels(name)


def job_succeeded(name: str) -> None:
    """A call of the job has just ended well."""
    JOB_LAST_SUCCESS.labels(name).set_to_current_time()


class KmsCall:
    """What became of a call: `code` as in the metric."""

    def __init__(self) -> None:
        self.code = "OK"


@contextmanager
def kms_call(op: str) -> Iterator[KmsCall]:
    """Counts one call of KMS, by the error that is raised, or by the `code` that is set."""
    began, call = time.monotonic(), KmsCall()
    try:
        yield call
    except google.GoogleAPICallError as error:
        code = error.grpc_status_code
        call.code = code.name if isinstance(code, grpc.StatusCode) else "UNKNOWN"
        raise
    except TimeoutError:
        call.code = "DEADLINE_EXCEEDED"
        raise
    finally:
        KMS_SECONDS.labels(op, call.code).observe(time.monotonic() - began)
