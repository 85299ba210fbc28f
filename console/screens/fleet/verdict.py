"""What of the fleet's numbers is bad, in sentences. Times are passed in."""

from datetime import datetime, timedelta

from console.gateway.api import Json
from console.web.wording import ago, moment

LONG_WAIT = timedelta(minutes=15)
"""process-queue comes every five minutes: after three of them a run should have been taken."""
FULL = 0.8


def verdicts_of(fleet: Json, now: datetime) -> list[str]:
    """What an operator should look at; empty: all is well."""
    found = [
        f"The job {one['job']} has not ended well since {ago(one.get('last_success_at'), now)}: does Cloud Scheduler call it? Its log says."
        for one in fleet["jobs"]
        if one["overdue"]
    ]
    oldest = moment(fleet.get("oldest_queued_time"))
    if oldest and now - oldest > LONG_WAIT:
        found.append(f"A queued run waits since {ago(oldest, now)}: raise `max_runs` of process-queue, or add executors.")
    if fleet["leases_lost"]:
        found.append(f"{fleet['leases_lost']} leases were lost in 24 hours: a process died, or BigQuery did not answer for a minute.")
    found += [
        f"The table {one['table']} has used {one['used']:.0%} of its budget of changes: fewer processes may change it at once."
        for one in fleet["budgets"]
        if one["used"] > FULL
    ]
    return found
