"""A run that is followed: lines in a pipe, a table that changes in its place on a terminal."""

import io

from convergence.cli.commands.tenant.run import exit_of_run
from convergence.cli.commands.tenant.run_watch import Progress
from convergence.executor.v1 import run_pb2
from convergence.executor.v1.watch_service_pb2 import RunEvent
from rich.console import Console

EVENTS = (
    RunEvent(event="RUN", run=run_pb2.Run(status="RUNNING")),
    RunEvent(event="STEP", step=run_pb2.StepLog(step_id="extract", status="RUNNING")),
    RunEvent(event="WAITING"),
    RunEvent(event="STEP", step=run_pb2.StepLog(step_id="extract", status="COMPLETED", rows_processed=2000, duration_ms=1200)),
    RunEvent(event="STEP", step=run_pb2.StepLog(step_id="checks", status="RUNNING")),
    RunEvent(event="QUALITY", dq_result=run_pb2.DqResult(step_id="checks", check_name="cost_not_null", status="PASSED")),
    RunEvent(event="QUALITY", dq_result=run_pb2.DqResult(check_name="one_currency", status="FAILED", failing_rows=24, severity="error")),
    RunEvent(event="STEP", step=run_pb2.StepLog(step_id="checks", status="FAILED", error_message="one_currency failed.")),
    RunEvent(event="RUN", run=run_pb2.Run(status="FAILED", error_message="checks: one_currency failed.")),
)


def test_each_event_is_a_line_and_what_says_nothing_new_is_none() -> None:
    progress = Progress()
    assert [line for event in EVENTS if (line := progress.take(event))] == [
        "run RUNNING",
        "step extract RUNNING",
        "step extract COMPLETED, 2,000 rows, 1.2 s",
        "step checks RUNNING",
        "check cost_not_null PASSED",
        "check one_currency FAILED (24 rows) [error]",
        "step checks FAILED: one_currency failed.",
        "run FAILED: checks: one_currency failed.",
    ]
    assert int(exit_of_run(progress.status)) == 1
    assert int(exit_of_run("COMPLETED")) == 0


def test_a_terminal_shows_each_step_once_as_it_is_last() -> None:
    progress, file = Progress(), io.StringIO()
    for event in EVENTS:
        progress.take(event)
    Console(file=file, width=80).print(progress.drawing())
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert lines[:2] == ["✓  extract  COMPLETED  2,000  1.2 s", "✗  checks   FAILED"]
    assert lines[2:] == ["checks: 1 passed, 1 failed", "  one_currency: 24 rows (error)", "FAILED", "checks: one_currency failed."]
