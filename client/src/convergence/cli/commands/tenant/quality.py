"""`convergence quality`: verdicts of checks over time."""

from typing import Annotated

import typer
from convergence.cli.invocation import Invocation, page_of
from convergence.cli.noun import declare
from convergence.cli.options import End, Limit, Start
from convergence.cli.output.cells import given, moment, shown
from convergence.cli.output.table import column, number


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    declare(app, "quality", path="quality", example="convergence quality --status FAILED --from 2026-11-01")(quality)


def quality(
    cli: Invocation,
    *,
    start: Start = "",
    end: End = "",
    pipeline: Annotated[str, typer.Option(help="E.g. gcp/cost/billing.")] = "",
    check: Annotated[str, typer.Option(help="A check's name in its template.")] = "",
    status: Annotated[str, typer.Option(help="PASSED or FAILED.")] = "",
    limit: Limit = 50,
) -> None:
    """List the verdicts of quality checks, newest first."""
    results = cli.client.quality.list(
        start_date=start, end_date=end, pipeline=pipeline, check_name=check, status=status.upper(), page_size=page_of(limit)
    )
    columns = (
        column("CHECKED", lambda row: moment(row.dq_result, "executed_at")),
        column("CHECK", lambda row: row.dq_result.check_name),
        column("STATUS", lambda row: row.dq_result.status),
        column("SEVERITY", lambda row: row.dq_result.severity),
        column("OBSERVED", lambda row: given(row.dq_result, "observed_value")),
        column("RULE", lambda row: given(row.dq_result, "threshold")),
        number("FAILING ROWS", lambda row: shown(row.dq_result.failing_rows)),
        column("TABLE", lambda row: row.dq_result.table_name),
        column("RUN", lambda row: row.pipeline_logging_id),
    )
    cli.printer.rows(cli.some(results, limit), columns, empty="No verdicts in these days.")
