"""`convergence audit`: who did what."""

from collections.abc import Iterable
from typing import Annotated

import typer
from convergence.auth.v1.audit_entry_pb2 import AuditEntry
from convergence.cli.invocation import Invocation, page_of
from convergence.cli.noun import declare
from convergence.cli.options import Limit
from convergence.cli.output.cells import moment, shown
from convergence.cli.output.table import column, number


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    declare(app, "audit", path="audit", example="convergence audit --action RunPipeline --limit 20")(audit)


def audit(
    cli: Invocation,
    *,
    start: Annotated[
        str, typer.Option("--from", metavar="TIME", help="Calls that ended at this time or later, e.g. 2026-11-26T00:00:00Z.")
    ] = "",
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Calls that ended before this time.")] = "",
    action: Annotated[str, typer.Option(help="Only this RPC, e.g. RunPipeline.")] = "",
    all_chains: Annotated[bool, typer.Option("--all", help="Entries of all tenants and of the platform (operator).")] = False,
    chain: Annotated[str, typer.Option("--chain", help="Entries of this tenant; -: of the platform (operator).")] = "",
    limit: Limit = 50,
) -> None:
    """List the audit log, newest first. A tenant's key needs the scope audit:read."""
    size = page_of(limit)
    entries: Iterable[AuditEntry] = (
        cli.client.audit.list_all(chain=chain, start_time=start, end_time=end, action=action, page_size=size)
        if all_chains or chain
        else cli.client.audit.list(start_time=start, end_time=end, action=action, page_size=size)
    )
    columns = (
        column("TIME", lambda row: moment(row, "time")),
        column("CHAIN", lambda row: row.chain),
        number("SEQ", lambda row: shown(row.seq)),
        column("ACTION", lambda row: row.action),
        column("RESOURCE", lambda row: shown(row.resource)),
        column("OUTCOME", lambda row: row.outcome),
        column("ACTOR", lambda row: f"{row.actor_kind} {row.actor_id}".strip()),
        column("USER", lambda row: shown(row.user_id)),
        column("REQUEST", lambda row: row.request_id),
    )
    cli.printer.rows(cli.some(entries, limit), columns, empty="No entries.")
