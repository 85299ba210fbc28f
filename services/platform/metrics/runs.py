"""Runs, and the queue of those that are scheduled."""

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

WORK_SECONDS: Final = (1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 4 * 3600.0)
WAIT_SECONDS: Final = (0.1, 1.0, 10.0, 60.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 6 * 3600.0)
"""Edges are the interval of process-queue (300), the age from which a waiting run is an alert (900), and the longest wait for a place."""
HOUR, DAY = 3600.0, 86400.0
AGE_SECONDS: Final = (6 * HOUR, 12 * HOUR, DAY, 1.5 * DAY, 2 * DAY, 3 * DAY, 5 * DAY, 7 * DAY, 31 * DAY)

TEMPLATES = Gauge("convergence_templates", "Templates that the executor has read", ["state"])
RUNS_LIVE = Gauge("convergence_runs_live", "Runs of this process: waiting for a place, or working", ["state"])
RUN_WAIT_SECONDS = Histogram(
    "convergence_run_wait_seconds",
    "Seconds that a run waited: in the queue from its fire time, or here for a place to work",
    ["at"],
    buckets=WAIT_SECONDS,
)
RUN_SECONDS = Histogram(
    "convergence_run_seconds", "Seconds from the start of a run to its end", ["pipeline", "trigger", "status"], buckets=WORK_SECONDS
)
STEP_SECONDS = Histogram("convergence_step_seconds", "Seconds of one try of a step", ["type", "status"], buckets=WORK_SECONDS)
DATA_AGE_SECONDS = Histogram(
    "convergence_data_age_seconds",
    "At each publish of a scheduled run, seconds since the end of the newest day that it published",
    ["provider"],
    buckets=AGE_SECONDS,
)
RESTATEMENTS = Counter("convergence_restatements", "Days published again with another net cost than before", ["provider"])
NOTIFICATIONS = Counter("convergence_notifications", "Run notifications by how they ended", ["kind", "ending"])
QUEUE_RUNS = Gauge(
    "convergence_queue_runs",
    "Runs in the queue at this process's last look: ready, processing, or lapsed (its scheduler is gone)",
    ["state"],
)
QUEUE_OLDEST_SECONDS = Gauge(
    "convergence_queue_oldest_seconds", "How long the oldest ready run had been ready at that look; 0: there is none"
)
SCHEDULES_DUE = Gauge("convergence_schedules_due", "Schedules that are still due after the last trigger, which a quota had no room for")

SPOOL_FREE_BYTES = Gauge("convergence_spool_free_bytes", "Bytes that are free where the executor's spool is; NaN: that cannot be known")
SPOOL_TAKEN_BYTES = Gauge("convergence_spool_taken_bytes", "Bytes of runs' files in the executor's spool")

SPOOL_FREE_BYTES.set(math.nan)  # in a process that has none, a zero would be a full disk
for _state in ("waiting", "working"):
    RUNS_LIVE.labels(_state)
for _at in ("queue", "executor"):
    RUN_WAIT_SECONDS.labels(_at)


def show_queue(*, ready: int, processing: int, lapsed: int, oldest_since: datetime | None, now: datetime) -> None:
    """Shows what a look at the queue has found. `oldest_since`: since when the oldest ready run has been ready."""
    for state, count in (("ready", ready), ("processing", processing), ("lapsed", lapsed)):
        QUEUE_RUNS.labels(state).set(count)
    QUEUE_OLDEST_SECONDS.set(max(0.0, (now - oldest_since).total_seconds()) if oldest_since else 0.0)


def show_spool(*, free: Callable[[], int], taken: Callable[[], int]) -> None:
    """Shows the room for runs' files, as it is whenever somebody looks. `free` may raise OSError."""

    def free_or_unknown() -> float:
        try:
            return free()
        except OSError:
            return math.nan

    SPOOL_FREE_BYTES.set_function(free_or_unknown)
    SPOOL_TAKEN_BYTES.set_function(taken)


def published(provider: str, *, newest_day: date | None, restated_days: int, now: datetime) -> None:
    """Counts one publish. `newest_day`: None: its age says nothing, as of a backfill, or of a caller who has chosen the days."""
    RESTATEMENTS.labels(provider).inc(restated_days)
    if newest_day is not None:
        ended = datetime.combine(newest_day + timedelta(days=1), time(), UTC)
        DATA_AGE_SECONDS.labels(provider).observe(max(0.0, (now - ended).total_seconds()))


def expect(providers: Iterable[str], pipelines: Sequence[str]) -> None:
    """Begins the counts of these at zero: Prometheus does not see the first step of a series that begins with it."""
    for provider in providers:
        RESTATEMENTS.labels(provider)
        DATA_AGE_SECONDS.labels(provider)
    for pipeline in pipelines:
        for status in ("COMPLETED", "FAILED"):
            RUN_SECONDS.labels(pipeline, "scheduler", status)
