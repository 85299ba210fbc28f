"""`convergence schedules`: when pipelines run by themselves."""

from typing import Annotated

import typer
from convergence.cli.invocation import Invocation, page_of
from convergence.cli.noun import Noun
from convergence.cli.options import BodyFile, IdempotencyKey, Limit, Parameters, Pipeline, UsageProblem, Yes, read_parameters, read_pipeline
from convergence.cli.output.cells import given, moment, pairs, shown
from convergence.cli.output.table import column, sentence
from convergence.scheduler.v1 import schedule_pb2
from google.protobuf.json_format import MessageToDict

noun = Noun("schedules", "When pipelines run by themselves.")
ScheduleId = Annotated[str, typer.Argument(metavar="SCHEDULE_ID", help="The schedule's id (config_id).")]
Cron = Annotated[str, typer.Option("--cron", help="Five fields, e.g. '30 2 * * *'.", show_default=False)]
Zone = Annotated[str, typer.Option("--timezone", help="An IANA name, e.g. Europe/Berlin.", show_default=False)]
Priority = Annotated[int | None, typer.Option("--priority", help="0 to the plan's ceiling.", show_default=False)]
Attempts = Annotated[int | None, typer.Option("--attempts", help="The most attempts, the first one included.", show_default=False)]
CatchUp = Annotated[str, typer.Option("--catch-up", help="Missed fire times: latest, days or all.", show_default=False)]


@noun.command(
    "create", example="convergence schedules create gcp/cost/billing --cron '30 2 * * *' --timezone Europe/Berlin -p date=yesterday"
)
def create_schedule(
    cli: Invocation,
    pipeline: Pipeline,
    *,
    cron: Annotated[str, typer.Option("--cron", help="Five fields, e.g. '30 2 * * *'.")],
    timezone: Zone = "UTC",
    param: Parameters = None,
    body: BodyFile = "",
    priority: Priority = None,
    attempts: Attempts = None,
    catch_up: CatchUp = "",
    paused: Annotated[bool, typer.Option("--paused", help="Do not fire before it is resumed.")] = False,
    idempotency_key: IdempotencyKey = "",
) -> None:
    """Create a schedule, and show when it will fire."""
    name, parameters = read_pipeline(pipeline), read_parameters(param, body)
    created = cli.client.schedules.create(
        name,
        schedule_cron=cron,
        timezone=timezone,
        parameters=parameters,
        priority=priority,
        max_retries=attempts,
        catch_up=catch_up,
        is_active=False if paused else None,
        idempotency_key=idempotency_key or None,
    )
    _show(cli, created)


@noun.command("list", example="convergence schedules list")
def list_schedules(cli: Invocation, *, limit: Limit = 100) -> None:
    """List schedules."""
    columns = (
        column("SCHEDULE", lambda row: row.config_id),
        column("PIPELINE", lambda row: f"{row.provider}/{row.domain}/{row.pipeline_template}"),
        column("CRON", lambda row: row.schedule_cron),
        column("TIMEZONE", lambda row: row.timezone),
        column("STATE", lambda row: "ACTIVE" if row.is_active else "PAUSED"),
        column("NEXT (UTC)", lambda row: moment(row, "next_run_time") if row.is_active else "-"),
        column("LAST", lambda row: given(row, "last_run_status")),
        column("PARAMETERS", lambda row: pairs(MessageToDict(row.parameters))),
        sentence("PROBLEM", lambda row: given(row, "problem")),
    )
    rows = cli.some(cli.client.schedules.list(page_size=page_of(limit)), limit)
    cli.printer.rows(rows, columns, empty="No schedules. Create one: convergence schedules create")


@noun.command("show", example="convergence schedules show SCHEDULE_ID")
def show_schedule(cli: Invocation, schedule_id: ScheduleId) -> None:
    """Show a schedule with its next fire times. Fire times that daylight saving shifts are marked."""
    _show(cli, cli.client.schedules.get(schedule_id))


@noun.command("update", example="convergence schedules update SCHEDULE_ID --pause")
def update_schedule(
    cli: Invocation,
    schedule_id: ScheduleId,
    *,
    cron: Cron = "",
    timezone: Zone = "",
    param: Parameters = None,
    body: BodyFile = "",
    priority: Priority = None,
    attempts: Attempts = None,
    catch_up: CatchUp = "",
    pause: Annotated[
        bool | None, typer.Option("--pause/--resume", help="Stop it from firing, or let it fire again.", show_default=False)
    ] = None,
) -> None:
    """Change the given fields of a schedule. Given parameters replace all parameters."""
    if (cron, timezone, param, body, priority, attempts, catch_up, pause) == ("", "", None, "", None, None, "", None):
        raise UsageProblem("Nothing to change: give --cron, --timezone, --param, --priority, --attempts, --catch-up, --pause or --resume.")
    changed = cli.client.schedules.update(
        schedule_id,
        schedule_cron=cron or None,
        timezone=timezone or None,
        parameters=read_parameters(param, body) if param or body else None,
        priority=priority,
        max_retries=attempts,
        catch_up=catch_up or None,
        is_active=None if pause is None else not pause,
    )
    _show(cli, changed)


@noun.command("delete", example="convergence schedules delete SCHEDULE_ID --yes")
def delete_schedule(cli: Invocation, schedule_id: ScheduleId, *, yes: Yes = False) -> None:
    """Delete a schedule. Its queued runs end as FAILED."""
    cli.confirm(f"Delete schedule {schedule_id}? Its queued runs end as FAILED.", yes=yes)
    answer = cli.client.schedules.delete(schedule_id)
    cli.printer.record(answer, (("schedule", answer.config_id), ("action", answer.action)))


@noun.command("backfill", example="convergence schedules backfill SCHEDULE_ID --from 2026-10-01 --to 2026-10-31")
def backfill_schedule(
    cli: Invocation,
    schedule_id: ScheduleId,
    *,
    start: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="The first UTC day.")],
    end: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="The last UTC day, included.")],
) -> None:
    """Queue one run for each UTC day, behind all other runs. Repeating it queues no day twice."""
    answer = cli.client.schedules.backfill(schedule_id, start_date=start, end_date=end)
    fields = (
        ("schedule", answer.config_id),
        ("queued now", shown(answer.enqueued_count)),
        ("queued before", shown(answer.skipped_count)),
    )
    cli.printer.record(answer, fields)


def _show(cli: Invocation, schedule: schedule_pb2.Schedule) -> None:
    fields = [
        ("schedule", schedule.config_id),
        ("pipeline", f"{schedule.provider}/{schedule.domain}/{schedule.pipeline_template}"),
        ("cron", f"{schedule.schedule_cron} ({schedule.timezone})"),
        ("state", "ACTIVE" if schedule.is_active else "PAUSED"),
        ("parameters", pairs(MessageToDict(schedule.parameters))),
        ("priority", shown(schedule.priority)),
        ("attempts", shown(schedule.max_retries)),
        ("catch up", schedule.catch_up),
        ("last run", f"{given(schedule, 'last_run_status')} {moment(schedule, 'last_run_time')}"),
    ]
    if schedule.HasField("problem"):
        fields.append(("problem", schedule.problem))
    if schedule.passed_over_count:
        fields.append(
            ("passed over", f"{schedule.passed_over_count} fire times at each call of the trigger: it fires more often than that comes")
        )
    cli.printer.record(schedule, fields)
    if not cli.printer.is_json:
        columns = (
            column("LOCAL", lambda row: row.local),
            column("UTC", lambda row: moment(row, "utc")),
            column("QUEUED FROM", lambda row: moment(row, "queued_at_earliest")),
            sentence("DAYLIGHT SAVING", lambda row: shown(row.note)),
        )
        cli.printer.table("Next fire times", schedule.next_fire_times, columns)
