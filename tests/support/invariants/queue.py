"""Scheduled runs: each fire time queued once and ended once, attempts numbered by failures, nothing left in the queue."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from services.scheduler.ids import backfill_run_id, fire_run_id, is_backfill, pipeline_logging_id
from tests.support.invariants.observed import Observed
from tests.support.invariants.offboarded import erased
from tests.support.invariants.runs import folded
from tests.support.invariants.tables import Row, Tables
from tests.support.invariants.violation import Violation

GONE = "The schedule of this run was deleted"


def queue_violations(tables: Tables, observed: Observed) -> Iterator[Violation]:
    """Of all tenants."""
    for row in tables.queue:
        what = f"{row['state']} at rest, attempt {row['attempt']}, claimed by {row['claimed_by']}, not before {row['not_before']}"
        yield Violation(invariant="queue.empty", where=f"{row['tenant_id']} {row['run_id']}", what=what)
    for identity, count in Counter(run["run_id"] for run in tables.scheduled_runs).items():
        if count > 1:
            yield Violation(invariant="queue.queued_once", where=identity, what=f"the run has {count} rows")
    attempts = defaultdict[str, list[Row]](list)
    for tenant_id, tenant in tables.tenants.items():
        for run in folded(tenant.runs):
            if run["run_id"] is not None:
                attempts[run["run_id"]].append(run)
                if run["pipeline_logging_id"] != pipeline_logging_id(run["run_id"], run["attempt"]):
                    where = f"{tenant_id} {run['pipeline_logging_id']}"
                    yield Violation(
                        invariant="queue.attempt_id", where=where, what=f"not the id of attempt {run['attempt']} of {run['run_id']}"
                    )
    unknown = erased(tables)
    for run in tables.scheduled_runs:
        own = attempts.pop(run["run_id"], [])
        yield from () if run["tenant_id"] in unknown else _run(run, own)
    for run_id in attempts:
        yield Violation(invariant="queue.known", where=run_id, what="it has attempts, and was never queued")
    yield from _promised(tables, observed)


def _run(run: Row, attempts: list[Row]) -> Iterator[Violation]:
    where = f"{run['tenant_id']} {run['run_id']}"
    parameters = run["parameters"] if isinstance(run["parameters"], dict) else {}
    if run["run_id"] != fire_run_id(run["config_id"], run["scheduled_time"]) and not is_backfill(
        run["config_id"], run["run_id"], parameters.get("date")
    ):
        yield Violation(invariant="queue.run_id", where=where, what=f"not the id of {run['config_id']} at {run['scheduled_time']}")
    if run["state"] not in {"COMPLETED", "FAILED"}:
        yield Violation(invariant="queue.ended", where=where, what=f"{run['state']} at rest, {run['retry_count']} failures")
        return
    done = [one for one in attempts if one["status"] == "COMPLETED"]
    failures = [one for one in attempts if one["status"] in {"FAILED", "CANCELLED"}]
    if len(done) > 1:
        yield Violation(
            invariant="queue.done_once", where=where, what=f"{len(done)} attempts COMPLETED: {[one['attempt'] for one in done]}"
        )
    if (run["state"] == "COMPLETED") != bool(done):
        yield Violation(invariant="queue.state", where=where, what=f"it is {run['state']}, {len(done)} of its attempts COMPLETED")
    elif done and run["pipeline_logging_id"] != done[0]["pipeline_logging_id"]:
        what = f"it names {run['pipeline_logging_id']}, and {done[0]['pipeline_logging_id']} COMPLETED"
        yield Violation(invariant="queue.names_its_attempt", where=where, what=what)
    numbers = [one["attempt"] for one in attempts]
    # An attempt that was refused for good may have no row: then it has failed all the same.
    most = run["retry_count"] + (1 if done else 0)
    if len(set(numbers)) != len(numbers) or not set(numbers) <= set(range(1, most + 1)) or len(failures) > run["retry_count"]:
        what = f"{run['retry_count']} failures are counted; attempts {sorted(numbers)}, {len(failures)} of them failed"
        yield Violation(invariant="queue.attempts", where=where, what=what)
    if run["completed_at"] is None or (run["state"] == "COMPLETED" and run["error_message"]):
        what = f"{run['state']} at {run['completed_at']} with the error {run['error_message']!r}"
        yield Violation(invariant="queue.end_is_whole", where=where, what=what)


def _promised(tables: Tables, observed: Observed) -> Iterator[Violation]:
    there, runs = {row["config_id"] for row in tables.schedules}, {run["run_id"] for run in tables.scheduled_runs}
    deleted = {one for ids in observed.deletions.values() for one in ids}
    for tenant_id, ids in observed.schedules.items():
        for lost in sorted(ids - there - deleted):
            yield Violation(invariant="queue.no_schedule_lost", where=f"{tenant_id} {lost}", what="its creation was answered with 200")
    for config_id, count in Counter(row["config_id"] for row in tables.schedules).items():
        if count > 1:
            yield Violation(invariant="queue.one_schedule", where=config_id, what=f"there are {count} rows")
    for config_id, moment in sorted(observed.due):
        if config_id not in deleted and fire_run_id(config_id, moment) not in runs:
            yield Violation(invariant="queue.no_fire_time_lost", where=f"{config_id} {moment}", what="it was due, and was never queued")
    for config_id, day in sorted(observed.backfilled):
        if not {backfill_run_id(config_id, day), backfill_run_id(config_id, day, is_over=False)} & runs:
            yield Violation(invariant="queue.no_backfill_lost", where=f"{config_id} {day}", what="its backfill was answered with 200")
