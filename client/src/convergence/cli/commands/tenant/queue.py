"""`convergence queue`: what schedules have queued, and why it waits."""

from typing import Annotated

import typer
from convergence.cli.invocation import Invocation, page_of
from convergence.cli.noun import Noun
from convergence.cli.options import Limit
from convergence.cli.output.cells import given, moment, pairs, shown
from convergence.cli.output.own_commands import in_commands
from convergence.cli.output.table import column, number, sentence
from convergence.scheduler.v1 import scheduled_run_pb2
from google.protobuf.json_format import MessageToDict

noun = Noun("queue", "Runs that schedules have queued.")
ScheduledRunId = Annotated[str, typer.Argument(metavar="SCHEDULED_RUN_ID", help="The id in `queue list` (run_id).")]


@noun.command("list", example="convergence queue list --state PENDING")
def list_queue(
    cli: Invocation,
    *,
    state: Annotated[str, typer.Option(help="PENDING, COMPLETED or FAILED.")] = "",
    schedule: Annotated[str, typer.Option(help="Only of this schedule.")] = "",
    limit: Limit = 20,
) -> None:
    """List queued runs, the latest fire time first."""
    runs = cli.client.scheduled_runs.list(state=state.upper(), config_id=schedule, page_size=page_of(limit))
    columns = (
        column("SCHEDULED RUN", lambda row: row.run_id),
        column("PIPELINE", lambda row: row.pipeline_id),
        column("STATE", lambda row: row.state),
        column("QUEUE", lambda row: given(row, "queue_state")),
        column("FIRE TIME", lambda row: moment(row, "scheduled_time")),
        number("PRIORITY", lambda row: shown(row.priority)),
        number("FAILED", lambda row: f"{row.retry_count}/{max(row.max_retries, 1)}"),
        column("NOT BEFORE", lambda row: moment(row, "not_before")),
        column("RUN", lambda row: given(row, "pipeline_logging_id")),
        sentence("ERROR", lambda row: given(row, "error_message")),
    )
    cli.printer.rows(cli.some(runs, limit), columns, empty="Nothing is queued.")


@noun.command("show", example="convergence queue show SCHEDULED_RUN_ID")
def show_queued(cli: Invocation, scheduled_run_id: ScheduledRunId) -> None:
    """Show a queued run, with the reason why it waits and what happens next."""
    _show(cli, cli.client.scheduled_runs.get(scheduled_run_id))


@noun.command("retry", example="convergence queue retry SCHEDULED_RUN_ID")
def retry_queued(cli: Invocation, scheduled_run_id: ScheduledRunId) -> None:
    """Queue again a run that FAILED finally."""
    _show(cli, cli.client.scheduled_runs.retry(scheduled_run_id))


def _show(cli: Invocation, run: scheduled_run_pb2.ScheduledRun) -> None:
    fields = (
        ("scheduled run", run.run_id),
        ("pipeline", run.pipeline_id),
        ("state", run.state),
        ("queue", given(run, "queue_state")),
        ("waits for", given(run, "waiting_for")),
        ("why", in_commands(given(run, "waiting_message"))),
        ("fire time", moment(run, "scheduled_time")),
        ("not before", moment(run, "not_before")),
        ("priority", shown(run.priority)),
        ("failed", f"{run.retry_count} of {max(run.max_retries, 1)} attempts"),
        ("last error", given(run, "error_message")),
        ("parameters", pairs(MessageToDict(run.parameters))),
        ("latest run", given(run, "pipeline_logging_id")),
        ("schedule", run.config_id),
    )
    cli.printer.record(run, fields)
