"""Brings a hurt suite to rest: everything is healed, and the jobs of Cloud Scheduler fire until they find nothing to do."""

import time
from collections.abc import Mapping
from typing import Any

from tests.support.chaos.actions import Callers

COME_TO_REST = 900.0
"""Seconds: what has been queued is worked through on a machine that may be busy with other things."""
EVERY = 1.0


def come_to_rest(callers: Callers, *, seconds: float = COME_TO_REST) -> float:
    """Seconds that it took. Raises TimeoutError, saying what is left: then something is lost, or held for ever."""
    callers.world.heal()
    callers.recovered_after(seconds)
    _repeat_keys(callers)
    began, lifted = time.monotonic(), False
    # Opens the day of every tenant.
    callers.job("reset-daily-quotas")
    while left := _left(callers):
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"not at rest after {seconds:g} s: {left}")
        if not lifted and _waits_for_quota(left):
            _lift_limits(callers)
            lifted = True
        callers.job("trigger")
        callers.job("process-queue", {"max_runs": 4})
        time.sleep(EVERY)
    return time.monotonic() - began


def _repeat_keys(callers: Callers) -> None:
    """As a client does that got no answer: it sends the same key again until it has one. A limit may refuse it, which starts nothing."""
    for member in callers.members:
        for key, day in member.keys.items():
            if (member.name, key) not in callers.observed.by_key:
                callers.start(member, day, key)


def _left(callers: Callers) -> Mapping[str, Any]:
    """What still moves; empty at rest."""
    suite, control = callers.world.suite, callers.world.stack.settings.control_dataset
    left: dict[str, Any] = {}
    for member in callers.members:
        runs = member.tenant.rows("SELECT pipeline_logging_id, deadline_at, run_id FROM {}.x_meta_pipeline_runs WHERE status = 'RUNNING'")
        if runs:
            left[f"running runs of {member.name}"] = runs
    ours = ", ".join(f"'{member.name}'" for member in callers.members)
    if queue := suite.query(f"SELECT run_id, state, tenant_id, attempt, not_before FROM {control}.pipeline_execution_queue"):
        left["queue"] = queue
    sql = f"""SELECT q.tenant_id, q.usage_date, q.concurrent_pipelines_running, l.reservation_id, l.lease_expires_at
    FROM {control}.tenant_usage_quotas AS q LEFT JOIN UNNEST(q.live_runs) AS l
    WHERE q.tenant_id IN ({ours}) AND (l.reservation_id IS NOT NULL OR q.concurrent_pipelines_running != 0)"""
    if slots := suite.query(sql):
        left["slots"] = slots
    due = {config_id for config_id, _ in callers.observed.due}
    waiting = f"SELECT config_id, next_run_time FROM {control}.tenant_pipeline_configs WHERE next_run_time < CURRENT_TIMESTAMP()"
    if schedules := [one for one in suite.query(waiting) if one["config_id"] in due]:
        left["due schedules"] = schedules
    return left


def _waits_for_quota(left: Mapping[str, Any]) -> bool:
    """Nothing runs, and what is queued or due is not begun."""
    return left.keys() <= {"queue", "due schedules"} and all(row["state"] == "QUEUED" for row in left.get("queue", ()))


def _lift_limits(callers: Callers) -> None:
    """The tenants' runs of the day have been counted against their limits; the rest of them may begin now."""
    for member in callers.members:
        body = {"company_name": "Acme", "admin_email": "a@acme.example"}
        if member.name in callers.observed.daily_limits:
            callers.observed.daily_limits[member.name] = 10_000
            callers.ask("lift limits", callers.world.suite.admin, "PUT", f"/api/v1/tenants/{member.name}", body)
