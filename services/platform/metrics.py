"""Counters, as Prometheus reads them. The statement budget of each flow is asserted from these."""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

BIGQUERY_JOBS = Counter("convergence_bigquery_jobs", "Query and load jobs submitted to BigQuery, retries included", ["statement"])
BIGQUERY_STATEMENTS = Counter(
    "convergence_bigquery_statements", "Statements a table; kind is dml (counts against 25 in 10 s), read or stream", ["table", "kind"]
)
BIGQUERY_RETRIES = Counter("convergence_bigquery_retries", "Statements sent again after a transient error", ["statement"])
BIGQUERY_PACED_SECONDS = Counter("convergence_bigquery_paced_seconds", "Seconds that statements waited for their table's budget")
TEMPLATES = Gauge("convergence_templates", "Templates that the executor has read", ["state"])
CALLS = Counter("convergence_rpc", "RPCs answered", ["method", "code"])
CALL_SECONDS = Histogram("convergence_rpc_seconds", "Seconds from request to answer", ["method"])
NOTIFICATIONS = Counter("convergence_notifications", "Run notifications by how they ended", ["kind", "ending"])


def serve_metrics(host: str, port: int) -> None:
    """Answers `GET /metrics` on host:port from a thread of its own, until the process ends. Raises OSError if the port is taken."""
    start_http_server(port, addr=host)
