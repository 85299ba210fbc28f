"""Whether Cloud Scheduler still calls its jobs, and the queue moves."""

from datetime import datetime, timedelta

from convergence.cli.doctor.finding import Finding
from convergence.cli.doctor.installation import Installation
from convergence.cli.doctor.not_checked import NotChecked
from convergence.cli.output.cells import moment, span, time_of
from convergence.client import errors
from convergence.scheduler.v1.fleet_service_pb2 import GetFleetResponse

STUCK = timedelta(minutes=30)
"""Six calls of the queue's job."""
_BY_HAND = {"trigger": "trigger", "process-queue": "process-queue", "reset-daily-quotas": "reset", "check-credentials": "check"}
"""The command for each job."""


def look(installation: Installation) -> list[Finding]:
    """Reads the fleet's state."""
    if not installation.connection.credentials.admin_key:
        raise NotChecked("the profile has no admin key (convergence login --admin)")
    try:
        fleet = installation.calls.fleet.get()
    except (errors.PermissionDenied, errors.Unauthenticated):
        raise NotChecked("the admin key may not see the fleet") from None
    return judge(fleet, installation.now(), is_laptop=installation.is_laptop)


def judge(fleet: GetFleetResponse, now: datetime, *, is_laptop: bool) -> list[Finding]:
    """Pure."""
    found = []
    for job in fleet.jobs:
        if job.overdue:
            check = "tail .local/logs/cloud_scheduler.log" if is_laptop else f"gcloud scheduler jobs describe {job.job}"
            last = f"last at {moment(job, 'last_success_at')}" if job.HasField("last_success_at") else "not within 7 days"
            found.append(
                Finding(
                    name="job-overdue",
                    subject=job.job,
                    problem=f"The job {job.job} has not ended well as it should, every {span(job.interval_seconds)} ({last}).",
                    mend=f"convergence jobs {_BY_HAND.get(job.job, 'status')}   # by hand; why it does not fire: {check}",
                )
            )
    oldest = time_of(fleet, "oldest_queued_time")
    if oldest and now - oldest > STUCK:
        found.append(
            Finding(
                name="queue-stuck",
                subject="queue",
                problem=f"{fleet.queued_count} runs wait in the queue, the oldest since {moment(fleet, 'oldest_queued_time')}.",
                mend="convergence jobs process-queue --max-runs 50   # and `convergence queue show RUN` says why one waits",
            )
        )
    return found
