"""Ends runs where they hurt: at the boundary of a step, before a publishing script, or between its commit and the answer."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from google.api_core.exceptions import GoogleAPICallError

from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.staging.shape import StagingTable
from services.executor.staging.tables import StagingTables
from services.executor.templates.step import Step, StepContext, StepResult, Toolbox
from services.executor.templates.step_reader import Joining
from services.platform.clock import SystemClock
from tests.support.strict_bigquery import Refused, StrictBigQuery

SECONDS = 60.0


class Place(StrEnum):
    """Where in a publishing script's life."""

    NEVER_SENT = "never sent"
    """BigQuery never gets the script."""
    SENT_LATE = "sent late"
    """BigQuery runs it, but only when `PublishDoor.open` is called."""
    ANSWER_LOST = "answer lost"
    """BigQuery has run it to its end."""


@dataclass(kw_only=True)
class PublishDoor(StrictBigQuery):
    """A proxy that stops at one publishing script."""

    table: str = ""
    """The next script that publishes into this table is stopped; empty: none is."""
    place: Place = Place.NEVER_SENT
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)
    passed: threading.Event = field(default_factory=threading.Event)
    """BigQuery has the script."""
    _loses: threading.local = field(default_factory=threading.local)

    def stop_at(self, table: str, place: Place) -> None:
        """Stops at the next publish into `table`."""
        for event in (self.reached, self.opened, self.passed):
            event.clear()
        self.table, self.place = table, place

    def open(self) -> None:
        """Lets what was stopped go on."""
        self.opened.set()

    @contextmanager
    def statement(self, sql: str, dataset: str) -> Iterator[None]:
        """Around the emulator's work on `sql`."""
        if not self.table or f"MERGE INTO {self.table} " not in sql or "BEGIN TRANSACTION" not in sql:
            with super().statement(sql, dataset):
                yield
            return
        self.table = ""
        if self.place is not Place.ANSWER_LOST:
            self._wait()
        if self.place is Place.NEVER_SENT:
            raise Refused(503, "backendError", "The caller has gone.")
        with super().statement(sql, dataset):
            yield
        if self.place is Place.ANSWER_LOST:
            self._wait()
        self._loses.now = True
        self.passed.set()

    def loses(self) -> bool:
        """Whether this answer gets lost."""
        lost: bool = self._loses.__dict__.pop("now", False)
        return lost or super().loses()

    def _wait(self) -> None:
        self.reached.set()
        if not self.opened.wait(SECONDS):
            raise Refused(503, "backendError", "The caller has gone.")


@dataclass(frozen=True, kw_only=True)
class Halting:
    """A step that never comes back."""

    step: Step
    after: bool
    """True: it has done its work before."""
    reached: asyncio.Event

    @property
    def OUTPUTS(self) -> Mapping[str, str]:
        """Of the step itself."""
        return self.step.OUTPUTS

    async def run(self, context: StepContext) -> StepResult:
        """Waits until it is cancelled."""
        if self.after:
            await self.step.run(context)
        return await self._halt()

    def joined(self, first: Step) -> "Halting":
        """As it is."""
        return self

    async def run_both(self, first: StepContext, own: StepContext) -> tuple[StepResult, StepResult | None]:
        """The same, with the step that it joins."""
        if self.after:
            assert isinstance(self.step, Joining)
            await self.step.run_both(first, own)
        return await self._halt(), None

    async def _halt(self) -> StepResult:
        self.reached.set()
        await asyncio.Event().wait()
        raise AssertionError


class Left(StagingTables):
    """Staging tables of a process that is gone: they are left behind."""

    async def drop(self, tenant_id: str, table: StagingTable) -> None:
        """Does nothing."""


async def die_at_step(job: PreparedRun, step: str, tools: Toolbox, *, after: bool) -> None:
    """The run is cancelled at the beginning of a step, or at its end; no other step joins that. AssertionError if it ends before."""
    reached = asyncio.Event()
    steps = tuple(
        replace(one, action=Halting(step=one.action, after=after, reached=reached)) if one.id == step else replace(one, joins=None)
        for one in job.template.steps
    )
    assert steps != job.template.steps, f"there is no step {step}"
    await _cancel(replace(job, template=replace(job.template, steps=steps)), tools, reached.wait())


async def die_at_publish(job: PreparedRun, tools: Toolbox, door: PublishDoor, table: str, place: Place) -> None:
    """The run is cancelled while it waits for the script. With SENT_LATE, BigQuery does not have it yet: see `send`. AssertionError if the
    run ends before it publishes into `table`.
    """

    async def reached() -> None:
        assert await asyncio.to_thread(door.reached.wait, SECONDS)
        if place is Place.ANSWER_LOST:
            await _job_done(tools, table)

    door.stop_at(table, place)
    await _cancel(job, tools, reached())
    if place is not Place.SENT_LATE:
        door.open()


async def send(tools: Toolbox, door: PublishDoor, table: str) -> None:
    """BigQuery gets the script that was held back, and runs it to its end."""
    door.open()
    assert await asyncio.to_thread(door.passed.wait, SECONDS)
    await _job_done(tools, table)


async def _job_done(tools: Toolbox, table: str) -> None:
    """Waits for the last job that publishes into `table`, whatever comes of it."""
    client = tools.bq.client

    def wait(_: float) -> None:
        jobs = client.list_jobs(max_results=50)
        newest = next(job for job in jobs if job.job_id.startswith("publish_") and table in job.job_id)
        with suppress(GoogleAPICallError):
            newest.result(timeout=SECONDS)

    await tools.bq.call("wait", wait, seconds=2 * SECONDS)


async def _cancel(job: PreparedRun, tools: Toolbox, reached: Coroutine[Any, Any, object]) -> None:
    run = asyncio.create_task(execute(job, replace(tools, staging=Left(tools.bq, SystemClock()))))
    waiting = asyncio.create_task(reached)
    await asyncio.wait([run, waiting], return_when=asyncio.FIRST_COMPLETED)
    if run.done():
        waiting.cancel()
        raise AssertionError(f"the run has ended: {run}")
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    await waiting
