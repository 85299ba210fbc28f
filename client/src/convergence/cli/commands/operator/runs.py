"""`convergence runs`: runs of all tenants."""

from typing import Annotated

import typer
from convergence.cli.invocation import Invocation, page_of
from convergence.cli.noun import Noun
from convergence.cli.options import Limit
from convergence.cli.output.cells import NONE, dollars, given, moment, span, time_of
from convergence.cli.output.table import column, number, sentence
from convergence.executor.v1 import all_runs_service_pb2 as messages

noun = Noun("runs", "Runs of all tenants (operator). A tenant's own: convergence run.")


@noun.command("all", example="convergence runs all --status FAILED --limit 20")
def list_all_runs(
    cli: Invocation,
    *,
    status: Annotated[str, typer.Option(help="RUNNING, COMPLETED, FAILED or CANCELLED.")] = "",
    pipeline: Annotated[str, typer.Option(help="E.g. gcp/cost/billing.")] = "",
    date: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="The UTC day on which the runs began; default: the last 7 days.")] = "",
    limit: Limit = 50,
) -> None:
    """List runs of all tenants, or of --tenant, newest first."""
    runs = cli.client.runs.list_all(
        tenant_id=cli.shared.tenant, status=status.upper(), pipeline=pipeline, date=date, page_size=page_of(limit)
    )
    columns = (
        column("TENANT", lambda row: row.tenant_id),
        column("RUN", lambda row: row.pipeline_logging_id),
        column("PIPELINE", lambda row: row.pipeline_id.removeprefix(f"{row.tenant_id}-")),
        column("STATUS", lambda row: row.status),
        column("BY", lambda row: row.trigger_type),
        column("STARTED", lambda row: moment(row, "started_at")),
        number("TOOK", _took),
        number("COST", lambda row: dollars(row.cost_usd) if row.HasField("cost_usd") else NONE),
        sentence("ERROR", lambda row: given(row, "error_message")),
    )
    cli.printer.rows(cli.some(runs, limit), columns, empty="No runs.")


def _took(row: messages.TenantRun) -> str:
    began, ended = time_of(row, "started_at"), time_of(row, "completed_at")
    return span((ended - began).total_seconds()) if began and ended else NONE
