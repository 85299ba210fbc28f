"""`convergence fleet`: the whole installation at a glance."""

from datetime import UTC, datetime

import typer
from convergence.cli.invocation import Invocation
from convergence.cli.noun import declare
from convergence.cli.output.cells import ago, moment, shown, span, time_of
from convergence.cli.output.table import column, number


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    declare(app, "fleet", path="fleet", example="convergence fleet --json | jq '.jobs[] | select(.overdue)'")(fleet)


def fleet(cli: Invocation) -> None:
    """Show the queue, the jobs' last success, lost leases and busy tables (operator)."""
    answer = cli.client.fleet.get()
    fields = (
        ("schedules due", shown(answer.due_count)),
        ("queued", shown(answer.queued_count)),
        ("oldest queued", ago(time_of(answer, "oldest_queued_time"), datetime.now(UTC))),
        ("processing", shown(answer.processing_count)),
        ("failed finally today", shown(answer.failed_today_count)),
        ("leases lost in 24 h", shown(answer.leases_lost)),
    )
    cli.printer.record(answer, fields)
    if cli.printer.is_json:
        return
    jobs = (
        column("JOB", lambda row: row.job),
        column("STATE", lambda row: "OVERDUE" if row.overdue else "OK"),
        column("LAST SUCCESS", lambda row: moment(row, "last_success_at")),
        number("EVERY", lambda row: span(row.interval_seconds)),
    )
    cli.printer.table("Jobs", answer.jobs, jobs)
    budgets = (column("TABLE", lambda row: row.table), number("BUDGET USED", lambda row: f"{row.used:.0%}"))
    cli.printer.table("Tables of which more than half of the changes' budget was used", answer.budgets, budgets)
