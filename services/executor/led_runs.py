"""The runs that this process executes, with the lines they have written so far, so that watching them costs no statement."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.executor.records import DqResult, Run, RunOutcome, StepLog

type Line = StepLog | DqResult
TICK = timedelta(microseconds=1)
"""As exact as BigQuery's TIMESTAMP."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)


def line_id(line: Line) -> str:
    """The id by which readers fold a line that was written twice."""
    return line.log_id if isinstance(line, StepLog) else line.dq_result_id


def line_time(line: Line) -> datetime:
    """By which readers of the tables put lines in order."""
    return line.timestamp if isinstance(line, StepLog) else line.executed_at


class LineFeed:
    """Lines in order. Readers wait for more, and see when there will be none."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.is_closed = False
        self._changed = asyncio.Event()

    def add(self, lines: Sequence[Line]) -> None:
        """Appends lines and wakes the readers."""
        self.lines += lines
        self._wake()

    def close(self) -> None:
        """No line follows."""
        self.is_closed = True
        self._wake()

    async def more(self, seen: int) -> None:
        """Returns once there are more than `seen` lines, or the feed is closed. May be cancelled and called again."""
        while len(self.lines) <= seen and not self.is_closed:
            await self._changed.wait()

    def _wake(self) -> None:
        # Those that wait on the old event run once; those that come later wait on the new one.
        self._changed.set()
        self._changed = asyncio.Event()


@dataclass(kw_only=True, slots=True)
class LedRun:
    """A run that this process executes."""

    run: Run
    """As it was when its row was written."""
    has_ended: bool = False
    """Its end is in its row."""
    last: Run | None = None
    """The run when it had ended; None also if only the table says how: another process has ended it."""
    feed: LineFeed = field(default_factory=LineFeed)
    _latest: datetime = LONG_AGO

    def stamped[L: Line](self, lines: Sequence[L]) -> list[L]:
        """The lines with new times, each later than the times of all lines before. So the tables have the lines in the order in which they
        are written, even if a concurrent step took its time earlier. The caller must add them at once.
        """
        return [self._stamped(line) for line in lines]

    def _stamped[L: Line](self, line: L) -> L:
        self._latest = max(line_time(line), self._latest + TICK)
        return replace(line, timestamp=self._latest) if isinstance(line, StepLog) else replace(line, executed_at=self._latest)


class LedRuns:
    """All runs of this process, from their start until their end is recorded."""

    def __init__(self) -> None:
        self._runs = dict[str, LedRun]()

    def begin(self, run: Run) -> None:
        """The run is executed here from now on."""
        self._runs[run.pipeline_logging_id] = LedRun(run=run)

    def note_end(self, tenant_id: str, pipeline_logging_id: str, last: Run | None) -> None:
        """The run's end is in its row, which says `last`, if that is known. Lines may follow."""
        if led := self.find(tenant_id, pipeline_logging_id):
            led.has_ended, led.last = True, last

    def note_row(self, tenant_id: str, row: Mapping[str, Any], outcome: RunOutcome, at: datetime) -> None:
        """As `note_end`, from what `end_run` has answered to `outcome` at `at`."""
        led = self.find(tenant_id, row["pipeline_logging_id"])
        if led is None:
            return
        last: Run | None = None
        if (row["status"], row["completed_at"]) == (outcome.status, at):
            last = led.run.ended(outcome, at)
        elif led.last and led.last.completed_at == row["completed_at"]:  # it had ended before; what it has cost may be new
            last = led.last.costing(outcome.cost)
        self.note_end(tenant_id, led.run.pipeline_logging_id, last)

    def close(self, pipeline_logging_id: str) -> None:
        """The run's end is recorded, and no line follows. Watchers need not wait for the rest, such as the end of its reservation."""
        if led := self._runs.get(pipeline_logging_id):
            led.feed.close()

    def end(self, pipeline_logging_id: str) -> None:
        """The run's end is recorded, or can no longer be from here."""
        if led := self._runs.pop(pipeline_logging_id, None):
            led.feed.close()

    def find(self, tenant_id: str, pipeline_logging_id: str) -> LedRun | None:
        """The tenant's run; None if it is not executed here."""
        led = self._runs.get(pipeline_logging_id)
        return led if led and led.run.tenant_id == tenant_id else None

    def stamped[L: Line](self, lines: Sequence[L]) -> list[L]:
        """As `LedRun.stamped`, for lines of any runs; those of runs that are not executed here stay as they are."""
        led = [(line, self._runs.get(line.pipeline_logging_id)) for line in lines]
        return [run.stamped([line])[0] if run else line for line, run in led]

    def add(self, lines: Sequence[Line]) -> None:
        """Adds lines to the feeds of their runs. Lines of runs that are not executed here are dropped. Watchers see the lines at once,
        before they are in the tables, even if writing them fails: what they say has happened.
        """
        for line in lines:
            if led := self._runs.get(line.pipeline_logging_id):
                led.feed.add([line])
