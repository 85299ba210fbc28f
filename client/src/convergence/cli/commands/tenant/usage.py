"""`convergence usage`: what runs have cost."""

from collections.abc import Sequence
from typing import Annotated

import typer
from convergence.cli.invocation import Invocation
from convergence.cli.noun import declare
from convergence.cli.options import End, Start
from convergence.cli.output.cells import dollars, shown, size
from convergence.cli.output.table import Column, column, number

_NONE = "No run has ended in these days."


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    declare(app, "usage", path="usage", example="convergence usage --from 2026-11-01 --to 2026-11-30")(usage)


def usage(
    cli: Invocation,
    *,
    start: Start = "",
    end: End = "",
    tenants: Annotated[bool, typer.Option("--tenants", help="Usage of all tenants, by tenant (operator).")] = False,
) -> None:
    """Show what a tenant's runs have used and cost, by day; this month unless --from and --to say otherwise."""
    if tenants:
        cli.printer.rows(cli.client.usage.list(start_date=start, end_date=end), _columns("TENANT", "tenant_id"), empty=_NONE)
        return
    answer = cli.client.usage.get(start_date=start, end_date=end)
    cli.printer.rows(answer.days, _columns("DAY", "usage_date"), empty=_NONE)
    if answer.total.runs and not cli.printer.is_json:
        cli.printer.part(f"In all: {answer.total.runs:,} runs, {dollars(answer.total.cost_usd)}")


def _columns(title: str, key: str) -> Sequence[Column]:
    return (
        column(title, lambda row: str(getattr(row, key))),
        number("RUNS", lambda row: shown(row.usage.runs)),
        number("COST", lambda row: dollars(row.usage.cost_usd)),
        number("BILLED", lambda row: size(row.usage.bytes_billed)),
        number("READ", lambda row: size(row.usage.bytes_read)),
        number("SLOT TIME", lambda row: f"{row.usage.slot_ms / 1000:,.1f} s"),
    )
