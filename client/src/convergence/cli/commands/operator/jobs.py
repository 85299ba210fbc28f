"""`convergence jobs`: what Cloud Scheduler calls, by hand."""

from typing import Annotated, Any

import typer
from convergence.cli.invocation import Invocation
from convergence.cli.noun import Noun
from convergence.cli.output.cells import shown
from convergence.cli.output.dialect import as_dict
from convergence.cli.output.table import column
from google.protobuf.message import Message

noun = Noun("jobs", "The jobs of Cloud Scheduler, by hand (operator).")


@noun.command("trigger", example="convergence jobs trigger")
def trigger(cli: Invocation) -> None:
    """Queue a run for every schedule that is due."""
    answer = cli.client.jobs.trigger()
    _show(cli, answer)
    if not cli.printer.is_json:
        columns = (column("TENANT", lambda row: row.tenant_id), column("SCHEDULE", lambda row: row.config_id))
        cli.printer.table("Missed fire times that are not queued", answer.left_out.schedules, columns)


@noun.command("process-queue", example="convergence jobs process-queue --max-runs 10")
def process_queue(cli: Invocation, *, max_runs: Annotated[int, typer.Option("--max-runs", min=1, max=500)] = 1) -> None:
    """Start the next queued runs, and take over the runs of dead processes."""
    answer = cli.client.jobs.process_queue(max_runs=max_runs)
    _show(cli, answer)
    if not cli.printer.is_json:
        columns = (
            column("TENANT", lambda row: row.tenant_id),
            column("PIPELINE", lambda row: row.pipeline_id),
            column("RUN", lambda row: row.pipeline_logging_id),
        )
        cli.printer.table("Started", answer.runs, columns)


@noun.command("reset", example="convergence jobs reset")
def reset_quotas(cli: Invocation) -> None:
    """Close past days of the quota ledger and open today."""
    _show(cli, cli.client.jobs.reset_daily_quotas())


@noun.command("check", example="convergence jobs check")
def check_credentials(cli: Invocation) -> None:
    """Check stored credentials that were not checked today."""
    _show(cli, cli.client.jobs.check_credentials())


@noun.command("status", example="convergence jobs status --json | jq .queued_count")
def status(cli: Invocation) -> None:
    """Count the runs that are due, queued, processing, and failed today."""
    _show(cli, cli.client.jobs.status())


def _show(cli: Invocation, answer: Message) -> None:
    cli.printer.record(answer, [(name.replace("_", " "), shown(value)) for name, value in _scalars(answer)])


def _scalars(answer: Message) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in as_dict(answer).items() if not isinstance(value, dict | list)]
