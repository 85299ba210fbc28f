"""`convergence costs`: what a tenant's clouds cost."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import typer
from convergence.cli.commands.tenant import costs_chart
from convergence.cli.invocation import Invocation, page_of
from convergence.cli.noun import Noun
from convergence.cli.options import End, Limit, Start
from convergence.cli.output.cells import amount, moment, names, shown
from convergence.cli.output.dialect import as_dict
from convergence.cli.output.table import Column, column, number, sentence
from convergence.executor.v1 import cost_pb2
from convergence.executor.v1 import cost_service_pb2 as messages

noun = Noun("costs", "What a tenant's clouds cost.")
_DAYS = 30


@noun.command("query", example="convergence costs query --from 2026-11-01 --to 2026-11-25 --by service --top 10 --per day --plot")
def query_costs(
    cli: Invocation,
    *,
    start: Start = "",
    end: End = "",
    by: Annotated[
        list[str] | None,
        typer.Option("--by", help="Group by provider, service, category, account, billing_account, region, tag:KEY ... Repeatable."),
    ] = None,
    where: Annotated[list[str] | None, typer.Option("--where", metavar="DIMENSION=VALUE", help="Only these costs. Repeatable.")] = None,
    per: Annotated[str, typer.Option("--per", help="day or month; default: all days as one period.")] = "",
    metric: Annotated[str, typer.Option("--metric", help="billed, effective, contracted or list.")] = "",
    top: Annotated[int, typer.Option("--top", min=0, help="The number of groups to show; the others are added up in one row.")] = 0,
    plot: Annotated[bool, typer.Option("--plot", help="Draw bars, too.")] = False,
    limit: Limit = 200,
) -> None:
    """Show costs, by day or month, grouped and filtered; the last 30 days unless --from and --to say otherwise."""
    first, last = days_or_default(start, end, datetime.now(UTC).date())
    answers = cli.client.costs.get(
        start_date=first,
        end_date=last,
        group_by=by,
        filter=where,
        granularity=per,
        metric=metric,
        top=top or None,
        page_size=page_of(limit),
    )
    pages = enough(answers.pages(), limit)
    costs = cli.some((cost for page in pages for cost in page.costs), limit)
    if cli.printer.is_json:
        cli.printer.json([as_dict(cost) for cost in costs])
        return
    cli.printer.rows(costs, columns_of(costs), empty=f"No costs are published from {first} to {last}.")
    if plot and costs:
        costs_chart.show(cli.printer, costs, title=f"{metric or 'billed'} cost, {first} to {last}")
    totals = "   ".join(amount(one.amount, one.currency) for one in pages[0].totals)
    cli.printer.part(f"In all: {totals or 'nothing'}", style="bold")
    for line in settledness(pages[0].days):
        cli.printer.remark(line)


@noun.command("days", example="convergence costs days --from 2026-11-01 --to 2026-11-25")
def list_days(
    cli: Invocation, *, start: Start = "", end: End = "", source: Annotated[str, typer.Option(help="Only this source, e.g. gcp.")] = ""
) -> None:
    """Show how settled each day is, and which days are missing."""
    first, last = days_or_default(start, end, datetime.now(UTC).date())
    answer = cli.client.costs.days(start_date=first, end_date=last, source=source).first_page()
    columns = (
        column("DAY", lambda row: row.date),
        column("SOURCE", lambda row: row.source),
        column("STATE", lambda row: row.state),
        number("ROWS", lambda row: shown(row.row_count)),
        number("NET COST", lambda row: "  ".join(amount(one.amount, one.currency) for one in row.sums) or "-"),
        number("VERSION", lambda row: shown(row.version)),
        column("LAST LOADED", lambda row: moment(row, "last_loaded_at")),
        column("CHANGED", lambda row: moment(row, "changed_at")),
        sentence("WHY", lambda row: shown(row.state_rule)),
    )
    cli.printer.rows(answer.days, columns, empty=f"No day from {first} to {last} is known.")
    for one in answer.sources:
        if one.holes:
            cli.printer.remark(f"{one.source}: never loaded: {names(one.holes)}")


@noun.command("changes", example="convergence costs changes --since 2026-11-20")
def list_changes(
    cli: Invocation,
    *,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Changes at or after this moment or UTC day.")] = "",
    start: Start = "",
    end: End = "",
    service: Annotated[str, typer.Option(help="Only this service, by its name.")] = "",
    source: Annotated[str, typer.Option(help="Only this source, e.g. gcp.")] = "",
    after_final: Annotated[bool, typer.Option("--after-final", help="Only changes of days that were FINAL before.")] = False,
    moved: Annotated[bool, typer.Option("--moved", help="Leave out first loads: a day's first costs, which replace no others.")] = False,
    limit: Limit = 50,
) -> None:
    """Show by how much published costs have changed, newest first."""
    changes = cli.client.costs.changes(
        changed_from=since,
        start_date=start,
        end_date=end,
        service=service,
        source=source,
        after_final=True if after_final else None,
        page_size=page_of(0 if moved else limit),  # most rows are first loads
    )
    found = cli.some(moves(changes) if moved else changes, limit)
    columns = (
        column("CHANGED", lambda row: moment(row, "changed_at")),
        column("DAY", lambda row: row.date),
        column("SOURCE", lambda row: row.source),
        column("SERVICE", lambda row: row.service),
        number("BEFORE", lambda row: amount(row.cost_before, row.currency)),
        number("AFTER", lambda row: amount(row.cost_after, row.currency)),
        number("MOVED BY", lambda row: amount(row.delta, row.currency)),
        column("NOTE", lambda row: "first load" if row.is_first_load else "after FINAL" if row.after_final else "-"),
        column("RUN", lambda row: row.pipeline_logging_id),
    )
    cli.printer.rows(found, columns, empty="No published cost has changed.")
    if not moved and (loads := sum(row.is_first_load for row in found)):
        cli.printer.remark(f"{loads:,} of {len(found):,} are first loads: --moved leaves them out.")


@noun.command("invoices", example="convergence costs invoices --from 2026-10 --to 2026-10")
def list_invoices(
    cli: Invocation,
    *,
    start: Annotated[str, typer.Option("--from", metavar="YYYY-MM", help="The first invoice month.")],
    end: Annotated[str, typer.Option("--to", metavar="YYYY-MM", help="The last invoice month, included.")],
    account: Annotated[str, typer.Option("--account", help="Only this billing account.")] = "",
    limit: Limit = 100,
) -> None:
    """Show what is invoiced by month, account and currency, next to the amounts of the invoice documents."""
    invoices = cli.client.costs.invoices(start_month=start, end_month=end, billing_account_id=account, page_size=page_of(limit))
    columns = (
        column("MONTH", lambda row: row.invoice_month),
        column("PROVIDER", lambda row: row.provider),
        column("ACCOUNT", lambda row: row.billing_account_id),
        number("CHARGES", lambda row: amount(row.charges, row.currency)),
        number("CREDITS", lambda row: amount(row.credits, row.currency)),
        number("TAXES", lambda row: amount(row.taxes, row.currency)),
        number("ADJUSTMENTS", lambda row: amount(row.adjustments, row.currency)),
        number("TOTAL", lambda row: amount(row.total, row.currency)),
        number("DOCUMENT", lambda row: amount(row.entered.amount, row.currency) if row.HasField("entered") else "-"),
        number("DIFFERENCE", lambda row: amount(row.difference, row.currency)),
        column("AGREES", lambda row: shown(row.agrees) if row.HasField("entered") else "-"),
    )
    cli.printer.rows(cli.some(invoices, limit), columns, empty="Nothing is invoiced in these months.")


def days_or_default(start: str, end: str, today: date) -> tuple[str, str]:
    """The days to ask for: as given, else the 30 until yesterday. Pure."""
    last = end or str(today - timedelta(days=1))
    return start or _before(last), last


def moves(changes: Iterable[cost_pb2.CostChange]) -> Iterator[cost_pb2.CostChange]:
    """Those that replaced costs that had been published. Pure."""
    return (change for change in changes if not change.is_first_load)


def enough(pages: Iterable[messages.GetCostsResponse], limit: int) -> list[messages.GetCostsResponse]:
    """The first pages, until they hold more than `limit` rows; 0: all."""
    found: list[messages.GetCostsResponse] = []
    for page in pages:
        found.append(page)
        if limit and sum(len(one.costs) for one in found) > limit:
            break
    return found


def settledness(days: cost_pb2.CostDaysSummary) -> list[str]:
    """How far an answer can be trusted, in sentences. Pure."""
    lines = []
    if days.open or days.settling:
        lines.append(f"Days: {days.open} open (rows are still missing), {days.settling} settling, {days.final} final.")
    if days.holes:
        lines.append(f"Never loaded, and missing from the sums: {names(days.holes)}")
    if days.behind:
        lines.append(f"{days.behind} days have newer billing rows than these costs: run the FOCUS pipeline.")
    return lines


def columns_of(costs: Sequence[cost_pb2.Cost]) -> list[Column]:
    """The columns that these costs need: a period if there are several, and one for each dimension. Pure."""
    dimensions = list(dict.fromkeys(name for cost in costs for name in cost.group))
    columns = [column("PERIOD", lambda row: row.period)] if any(cost.period for cost in costs) else []
    columns += [column(name.upper(), _group(name)) for name in dimensions]
    return [*columns, number("COST", lambda row: amount(row.cost, row.currency))]


def _group(name: str) -> Any:
    return lambda row: f"(the other {row.groups})" if row.is_rest else row.group.get(name, "") or "(none)"


def _before(last: str) -> str:
    try:
        return str(date.fromisoformat(last) - timedelta(days=_DAYS - 1))
    except ValueError:
        return last  # no day, as the API will say
