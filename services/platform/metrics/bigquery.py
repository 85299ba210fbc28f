"""BigQuery: what was sent, what it took, and what it costs. Tests assert each flow's statement budget from these counters."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 45.0, 120.0, 600.0, 3600.0)
"""Edges are the deadlines of a statement (15) and of a script (45); a load or a publish may take longer."""

BIGQUERY_JOBS = Counter("convergence_bigquery_jobs", "Query and load jobs submitted to BigQuery, retries included", ["statement"])
BIGQUERY_STATEMENTS = Counter(
    "convergence_bigquery_statements",
    "Statements by table: dml counts against 25 in 10 s, read is charged a minimum, load and stream are neither",
    ["table", "kind"],
)
BIGQUERY_RETRIES = Counter("convergence_bigquery_retries", "Statements sent again after a transient error", ["statement"])
BIGQUERY_PACED_SECONDS = Counter("convergence_bigquery_paced_seconds", "Seconds that statements waited for their table's budget")
BIGQUERY_VERSION_READS = Counter(
    "convergence_bigquery_version_reads", "Readings of a table's metadata, which are free, instead of its rows", ["table"]
)
BIGQUERY_SECONDS = Histogram(
    "convergence_bigquery_seconds",
    "Seconds that BigQuery took for a statement or a load, failed ones included",
    ["statement"],
    buckets=SECONDS,
)
BIGQUERY_BYTES_BILLED = Counter(
    "convergence_bigquery_bytes_billed",
    "Bytes billed to the platform's project. pipeline is empty for what serves many runs, or none",
    ["statement", "pipeline"],
)
BIGQUERY_SLOT_SECONDS = Counter("convergence_bigquery_slot_seconds", "Slot time in the platform's project", ["statement", "pipeline"])
STORAGE_READ_BYTES = Counter(
    "convergence_storage_read_bytes", "Bytes that runs have read of tenants' data, at the tenants' expense", ["pipeline"]
)
DOLLARS = Counter(
    "convergence_dollars",
    "Estimated US dollars at list prices; bill is whose: platform, or tenant for what runs read of tenants' data",
    ["bill", "pipeline"],
)
TABLE_BUDGET_USED = Gauge(
    "convergence_table_budget_used_ratio",
    "Of this process's budget of changes to a control table, the part used in the busiest of the last ten seconds; 0: less than half",
    ["table"],
)
for _bill in ("platform", "tenant"):
    DOLLARS.labels(_bill, "")  # so that an alert has a zero to rise from


@contextmanager
def timed(statement: str) -> Iterator[None]:
    """Counts how long it is open as the time of one statement."""
    began = time.monotonic()
    try:
        yield
    finally:
        BIGQUERY_SECONDS.labels(statement).observe(time.monotonic() - began)


def billed(statement: str, *, bytes_billed: int, slot_ms: int, usd: float, pipeline: str = "") -> None:
    """Counts what one job in the platform's project is billed. `pipeline`: as in the job's labels, e.g. `gcp-cost-billing`."""
    BIGQUERY_BYTES_BILLED.labels(statement, pipeline).inc(bytes_billed)
    BIGQUERY_SLOT_SECONDS.labels(statement, pipeline).inc(slot_ms / 1000)
    DOLLARS.labels("platform", pipeline).inc(usd)


def read_of_tenant(pipeline: str, *, size: int, usd: float) -> None:
    """Counts bytes that a run reads at its tenant's expense, which that may cost."""
    STORAGE_READ_BYTES.labels(pipeline).inc(size)
    DOLLARS.labels("tenant", pipeline).inc(usd)


class BudgetGauge:
    """Shows the busy tables of this process, and takes back those that are no longer."""

    def __init__(self) -> None:
        self._shown = set[str]()

    def show(self, busy: Mapping[str, float]) -> None:
        """`busy`: tables with the part of their budget that was used, 0 to 1, since the last call."""
        for table in self._shown.difference(busy):
            TABLE_BUDGET_USED.labels(table).set(0.0)
        for table, used in busy.items():
            TABLE_BUDGET_USED.labels(table).set(used)
        self._shown |= busy.keys()
