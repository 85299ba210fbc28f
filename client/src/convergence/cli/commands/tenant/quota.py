"""`convergence quota`: what a tenant may still do today."""

import typer
from convergence.cli.invocation import Invocation
from convergence.cli.noun import declare
from convergence.cli.output.cells import dollars, given, moment, shown
from convergence.cli.output.own_commands import in_commands


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    declare(app, "quota", path="quota", example="convergence quota --json | jq .remaining_today")(quota)


def quota(cli: Invocation) -> None:
    """Show today's usage and limits, when they reset, and which limit would refuse the next run."""
    answer = cli.client.quota.get()
    cost_limit = dollars(answer.monthly_cost_limit_usd) if answer.HasField("monthly_cost_limit_usd") else "unlimited"
    fields = (
        ("next run", in_commands(answer.message)),
        ("refused by", shown(answer.refusing_limit)),
        (
            "today",
            f"{answer.pipelines_run_today:,} of {given(answer, 'daily_limit', 'unlimited')}, until {moment(answer, 'daily_resets_at')}",
        ),
        ("  completed", shown(answer.pipelines_succeeded_today)),
        ("  failed", shown(answer.pipelines_failed_today)),
        (
            "this month",
            f"{answer.pipelines_run_month:,} of {given(answer, 'monthly_limit', 'unlimited')}, until {moment(answer, 'monthly_resets_at')}",
        ),
        ("running", f"{answer.concurrent_pipelines_running:,} of {given(answer, 'concurrent_limit', 'unlimited')}"),
        ("cost this month", f"{dollars(answer.cost_usd_month)} of {cost_limit}"),
    )
    cli.printer.record(answer, fields)
