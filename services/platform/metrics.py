"""Prometheus counters and the health probe. Tests assert each flow's statement budget from these counters."""

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import Counter, Gauge, Histogram, make_wsgi_app

BIGQUERY_JOBS = Counter("convergence_bigquery_jobs", "Query and load jobs submitted to BigQuery, retries included", ["statement"])
BIGQUERY_STATEMENTS = Counter(
    "convergence_bigquery_statements", "Statements a table; kind is dml (counts against 25 in 10 s), read or stream", ["table", "kind"]
)
BIGQUERY_BILLED = Counter(
    "convergence_bigquery_billed_tables",
    "How often BigQuery charges its minimum for a table, by the statement that names it; retries included",
    ["statement", "table"],
)
BIGQUERY_LISTINGS = Counter(
    "convergence_bigquery_listings", "Readings of small tables that cost nothing, by the statement that each has spared", ["statement"]
)
BIGQUERY_RETRIES = Counter("convergence_bigquery_retries", "Statements sent again after a transient error", ["statement"])
BIGQUERY_PACED_SECONDS = Counter("convergence_bigquery_paced_seconds", "Seconds that statements waited for their table's budget")
BIGQUERY_VERSION_READS = Counter(
    "convergence_bigquery_version_reads", "Readings of a table's metadata, which are free, instead of its rows", ["table"]
)
TEMPLATES = Gauge("convergence_templates", "Templates that the executor has read", ["state"])
CALLS = Counter("convergence_rpc", "RPCs answered", ["method", "code"])
CALL_SECONDS = Histogram("convergence_rpc_seconds", "Seconds from request to answer", ["method"])
COST_ANSWERS = Counter("convergence_cost_answers", "Questions about costs: read, or answered from the cache", ["how"])
ACCESS_CHECKS = Counter("convergence_access_checks", "Checks of tenants' stored credentials by the nightly job", ["provider", "verdict"])
ACCESS_STOPPED = Counter("convergence_access_stopped", "Of these, access that worked at its last check and does no longer", ["provider"])
AUDIT_ENTRIES = Counter(
    "convergence_audit_entries",
    "Entries of the audit log: written, delayed (will be sent again), or dropped, which must not happen",
    ["ending"],
)
for _ending in ("written", "delayed", "dropped"):
    AUDIT_ENTRIES.labels(_ending)  # so that an alert has a zero to rise from
REPORT_ROWS = Counter("convergence_report_rows", "Rows for operators, written in the background: written, or dropped", ["table", "ending"])
AUDIT_WAITING = Gauge("convergence_audit_waiting", "Entries of the audit log that are not stored yet")
CREDENTIALS_BELOW_KEY_VERSION = Gauge(
    "convergence_credentials_below_min_key_version", "Stored credentials that an older KMS key version than the least wanted encrypted"
)
CREDENTIALS_OLDEST_KEY_VERSION = Gauge("convergence_credentials_oldest_key_version", "The oldest KMS key version in use; 0: none is known")
TLS_EXPIRY = Gauge(
    "convergence_tls_expiry_timestamp_seconds",
    "When a certificate in use expires: the service's own, or ca: the last one",
    ["name"],
)
EVENT_LOOP_LAG = Gauge("convergence_event_loop_lag_seconds", "How late the event loop ran what was due a tenth of a second ago")
EVENT_LOOP_LAG_MAX = Gauge("convergence_event_loop_lag_max_seconds", "The greatest such delay of the last minute")
NOTIFICATIONS = Counter("convergence_notifications", "Run notifications by how they ended", ["kind", "ending"])


type StartResponse = Callable[[str, list[tuple[str, str]]], object]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the standard library calls it
        """Logs nothing: metrics are scraped every few seconds."""


def serve_metrics(host: str, port: int, *, is_serving: Callable[[], bool]) -> None:
    """Serves plain HTTP on host:port, in threads of its own, until the process ends. Raises OSError if the port is taken.

    `GET /metrics` is for Prometheus. `GET /healthz` is for probes without a client certificate, such as a kubelet's: 200 while the
    service's gRPC health is SERVING, else 503.
    """
    prometheus = make_wsgi_app()

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/healthz":
            answer: Iterable[bytes] = prometheus(environ, start_response)
            return answer
        serving = is_serving()
        start_response("200 OK" if serving else "503 Service Unavailable", [("Content-Type", "application/json")])
        return [b'{"status": "SERVING"}' if serving else b'{"status": "NOT_SERVING"}']

    server = make_server(host, port, app, _Server, _Silent)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
