"""`convergence run`: starts runs of pipelines, follows them, and shows what they did."""

from typing import Annotated
from uuid import uuid4

import typer
from convergence.cli.commands.tenant.run_watch import follow
from convergence.cli.exits import ExitCode
from convergence.cli.invocation import Invocation, page_of
from convergence.cli.noun import Noun
from convergence.cli.options import BodyFile, IdempotencyKey, Limit, Parameters, Pipeline, read_parameters, read_pipeline
from convergence.cli.output.cells import NONE, dollars, given, milliseconds, moment, names, pairs, shown, size
from convergence.cli.output.dialect import as_dict
from convergence.cli.output.own_commands import in_commands
from convergence.cli.output.table import column, number, sentence
from convergence.client import errors
from convergence.executor.v1 import run_pb2
from google.protobuf.json_format import MessageToDict

noun = Noun("run", "Runs of pipelines.")
RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="The run's id (pipeline_logging_id).")]


@noun.command("start", example="convergence run start gcp/cost/billing -p date=yesterday --watch")
def start_run(
    cli: Invocation,
    pipeline: Pipeline,
    *,
    param: Parameters = None,
    body: BodyFile = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the run ends, and end with 1 unless it COMPLETED.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="The same, and show the steps as they start and end.")] = False,
    idempotency_key: IdempotencyKey = "",
) -> None:
    """Start a run. Without --wait or --watch it returns at once."""
    name, parameters = read_pipeline(pipeline), read_parameters(param, body)
    key = idempotency_key or str(uuid4())
    try:
        started = cli.client.pipelines.run(name, parameters, idempotency_key=key)
    except (errors.Unavailable, errors.DeadlineExceeded):
        cli.printer.remark(
            f"It may have started all the same. The same command with --idempotency-key {key} starts it once, whatever happened."
        )
        raise
    if not wait and not watch:
        cli.printer.record(started, (("run", started.pipeline_logging_id), ("status", started.status), ("message", started.message)))
        return
    cli.printer.remark(f"Run {started.pipeline_logging_id} of {pipeline}")
    status = follow(cli, started.pipeline_logging_id, silently=not watch)
    if not watch:
        _show(cli, cli.client.runs.get(started.pipeline_logging_id))
    cli.end(exit_of_run(status))


@noun.command("watch", example="convergence run watch RUN_ID --json | jq -r .event")
def watch_run(cli: Invocation, run_id: RunId) -> None:
    """Show a run's steps and checks as they happen, until it ends. Ends with 1 unless it COMPLETED. With --json an event on each line."""
    cli.end(exit_of_run(follow(cli, run_id)))


@noun.command("list", example="convergence run list --status FAILED --limit 10")
def list_runs(
    cli: Invocation,
    *,
    status: Annotated[str, typer.Option(help="RUNNING, COMPLETED, FAILED or CANCELLED.")] = "",
    pipeline: Annotated[str, typer.Option(help="E.g. gcp/cost/billing.")] = "",
    date: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="The UTC day on which the runs began.")] = "",
    limit: Limit = 20,
) -> None:
    """List runs, newest first."""
    runs = cli.client.runs.list(status=status.upper(), pipeline=pipeline, date=date, page_size=page_of(limit))
    columns = (
        column("RUN", lambda row: row.pipeline_logging_id),
        column("PIPELINE", lambda row: row.pipeline_id.removeprefix(f"{row.tenant_id}-")),
        column("STATUS", lambda row: row.status),
        column("STARTED", lambda row: moment(row, "started_at")),
        number("TOOK", lambda row: milliseconds(row, "duration_ms")),
        number("ROWS", lambda row: given(row, "rows_processed")),
        number("COST", lambda row: dollars(row.cost_usd) if row.HasField("cost_usd") else NONE),
        column("BY", lambda row: row.trigger_type),
        column("PARAMETERS", lambda row: pairs(MessageToDict(row.parameters))),
        sentence("ERROR", lambda row: given(row, "error_message")),
    )
    cli.printer.rows(cli.some(runs, limit), columns, empty="No runs.")


@noun.command("show", example="convergence run show RUN_ID")
def show_run(cli: Invocation, run_id: RunId) -> None:
    """Show a run with its steps, the verdicts of its checks, and why it failed."""
    _show(cli, cli.client.runs.get(run_id))


@noun.command("cancel", example="convergence run cancel RUN_ID")
def cancel_run(cli: Invocation, run_id: RunId) -> None:
    """Cancel a running run: it publishes nothing more."""
    _show(cli, cli.client.runs.cancel(run_id))


@noun.command("cost", example="convergence run cost RUN_ID --json")
def show_cost(cli: Invocation, run_id: RunId) -> None:
    """Show what a run has cost, by step."""
    run = cli.client.runs.get(run_id)
    whole = as_dict(run)
    steps = [
        {"step_id": step["step_id"], "attempt": step["attempt"], **step["metadata"]["cost"]}
        for step in whole["steps"]
        if "cost" in step.get("metadata", {})
    ]
    if cli.printer.is_json:
        totals = {name: whole.get(name) for name in ("pipeline_logging_id", "status", "cost_usd", "bytes_billed", "bytes_read", "slot_ms")}
        cli.printer.json({**totals, "steps": steps})
        return
    cli.printer.fields(_cost_of(run))
    columns = (
        column("STEP", lambda row: row["step_id"]),
        number("TRY", lambda row: shown(row["attempt"])),
        number("COST", lambda row: dollars(float(row.get("cost_usd", 0)))),
        number("BILLED", lambda row: size(int(row.get("bytes_billed", 0)))),
        number("READ", lambda row: size(int(row.get("bytes_read", 0)))),
        number("SLOT TIME", lambda row: f"{int(row.get('slot_ms', 0)):,} ms"),
    )
    cli.printer.table("By step", steps, columns)


def exit_of_run(status: str) -> ExitCode:
    """What a command that waited for a run ends with. Pure."""
    return ExitCode.OK if status == "COMPLETED" else ExitCode.FAILED


def _cost_of(run: run_pb2.Run) -> list[tuple[str, str]]:
    if not run.HasField("cost_usd"):
        return [("run", run.pipeline_logging_id), ("cost", "not known: it has not ended, or its process died")]
    return [
        ("run", run.pipeline_logging_id),
        ("cost", f"{dollars(run.cost_usd)} (an estimate, on-demand prices)"),
        ("billed", size(run.bytes_billed)),
        ("read of the tenant's data", size(run.bytes_read)),
        ("slot time", f"{run.slot_ms:,} ms"),
    ]


def _show(cli: Invocation, run: run_pb2.Run) -> None:
    fields = [
        ("run", run.pipeline_logging_id),
        ("pipeline", run.pipeline_id.removeprefix(f"{run.tenant_id}-")),
        ("status", run.status),
        ("error", in_commands(given(run, "error_message"))),
        ("parameters", pairs(MessageToDict(run.parameters))),
        ("started", moment(run, "started_at")),
        ("completed", moment(run, "completed_at")),
        ("took", milliseconds(run, "duration_ms")),
        ("rows published", given(run, "rows_processed")),
        ("cost", dollars(run.cost_usd) if run.HasField("cost_usd") else NONE),
        ("started by", f"{run.trigger_type}, {run.trigger_by}"),
        ("user", given(run, "user_id")),
        ("scheduled run", given(run, "run_id")),
        ("trace", given(run, "trace_id")),
        ("days not over", names(run.days_not_over)),
    ]
    cli.printer.record(run, [(name, value) for name, value in fields if value != NONE])
    if cli.printer.is_json:
        return
    steps = (
        column("STEP", lambda row: row.step_id),
        number("TRY", lambda row: shown(row.attempt)),
        column("STATUS", lambda row: row.status),
        number("ROWS", lambda row: given(row, "rows_processed")),
        number("TOOK", lambda row: milliseconds(row, "duration_ms")),
        sentence("ERROR", lambda row: given(row, "error_message")),
    )
    cli.printer.table("Steps", [step for step in run.steps if step.action != "STEP_STARTED" or run.status == "RUNNING"], steps)
    checks = (
        column("CHECK", lambda row: row.check_name),
        column("STATUS", lambda row: row.status),
        column("SEVERITY", lambda row: row.severity),
        column("OBSERVED", lambda row: given(row, "observed_value")),
        column("RULE", lambda row: given(row, "threshold")),
        number("FAILING ROWS", lambda row: shown(row.failing_rows)),
    )
    cli.printer.table("Checks", run.dq_results, checks)
    samples = [(check.check_name, MessageToDict(row)) for check in run.dq_results for row in check.sample_rows]
    cli.printer.table("Rows that break a rule", samples, (column("CHECK", lambda row: row[0]), sentence("ROW", lambda row: pairs(row[1]))))
