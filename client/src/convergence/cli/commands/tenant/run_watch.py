"""Follows a run: a table of its steps that changes in its place on a terminal, lines elsewhere, events for programs."""

from contextlib import nullcontext
from dataclasses import dataclass, field

from convergence.cli.invocation import Invocation
from convergence.cli.output.cells import given, milliseconds
from convergence.cli.output.dialect import as_dict
from convergence.cli.output.printable import one_line
from convergence.cli.output.table import style_of
from convergence.executor.v1 import run_pb2
from convergence.executor.v1 import watch_service_pb2 as messages
from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text


@dataclass(kw_only=True, slots=True)
class Progress:
    """What is known of a run so far."""

    status: str = ""
    error: str = ""
    steps: dict[str, run_pb2.StepLog] = field(default_factory=dict)
    """The last entry of each step, in the order in which they began."""
    checks: dict[tuple[str, str], run_pb2.DqResult] = field(default_factory=dict)
    """The verdicts, by step and check."""

    def take(self, event: messages.RunEvent) -> str:
        """Takes one event in. Returns a line for people about it; empty: nothing new."""
        match event.event:
            case "RUN":
                is_new, self.status = event.run.status != self.status, event.run.status
                self.error = event.run.error_message
                return f"run {self.status}" + (f": {self.error}" if self.error else "") if is_new else ""
            case "STEP":
                step = event.step
                self.steps[step.step_id] = step
                rows = f", {step.rows_processed:,} rows" if step.HasField("rows_processed") else ""
                took = f", {milliseconds(step, 'duration_ms')}" if step.HasField("duration_ms") else ""
                return f"step {step.step_id} {step.status}{rows}{took}" + (f": {step.error_message}" if step.error_message else "")
            case "QUALITY":
                check = event.dq_result
                self.checks[check.step_id, check.check_name] = check
                found = f" ({check.failing_rows:,} rows)" if check.failing_rows else ""
                return f"check {check.check_name} {check.status}{found}" + (f" [{check.severity}]" if check.status != "PASSED" else "")
            case _:
                return ""

    def drawing(self) -> RenderableType:
        """A table of the steps, and a line about the checks."""
        table = Table.grid(padding=(0, 2))
        for step in self.steps.values():
            mark: RenderableType = (
                Spinner("dots") if step.status == "RUNNING" else Text(_MARKS.get(step.status, " "), style=style_of(step.status))
            )
            cells = (step.step_id, step.status, f"{given(step, 'rows_processed', '')}", milliseconds(step, "duration_ms").replace("-", ""))
            table.add_row(mark, *(Text(one_line(cell), style=style_of(cell)) for cell in cells))
        failed = [check for check in self.checks.values() if check.status != "PASSED"]
        lines = [Text(f"checks: {len(self.checks) - len(failed)} passed, {len(failed)} failed")] if self.checks else []
        lines += [Text(f"  {one_line(check.check_name)}: {check.failing_rows:,} rows ({check.severity})", style="red") for check in failed]
        end = (
            []
            if self.status in {"", "RUNNING"}
            else [Text(one_line(self.status), style=style_of(self.status)), *([Text(one_line(self.error))] if self.error else [])]
        )
        return Group(table, *lines, *end)


_MARKS = {"COMPLETED": "✓", "FAILED": "✗", "SKIPPED": "-"}


def follow(cli: Invocation, run_id: str, *, silently: bool = False) -> str:
    """Shows a run until it ends; returns its status. `silently`: shows nothing. Ctrl-C ends the looking, and not the run: it says so."""
    progress = Progress()
    try:
        _show(cli, run_id, progress, silently=silently)
    except KeyboardInterrupt:
        cli.printer.remark(f"Run {run_id} goes on. Look again: convergence run watch {run_id}. Cancel it: convergence run cancel {run_id}")
        raise
    return progress.status


def _show(cli: Invocation, run_id: str, progress: Progress, *, silently: bool) -> None:
    is_drawn = cli.printer.is_drawn and not silently
    with Live(console=cli.printer.out, refresh_per_second=8, transient=False) if is_drawn else nullcontext() as live:
        for event in cli.client.runs.watch(run_id):
            line = progress.take(event)
            if live is not None:
                live.update(progress.drawing())
            elif silently or event.event == "WAITING":
                continue
            elif cli.printer.is_json:
                cli.printer.line(as_dict(event))
            elif line:
                cli.printer.text(one_line(line))
