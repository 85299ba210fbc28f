"""What a process reports about itself, for operators: `platform_events`."""

from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import load_blocks
from services.platform.clock import Clock
from services.platform.metrics.bigquery import BudgetGauge
from services.platform.metrics.process import LEASES_LOST
from services.platform.periodic import Periodic
from services.platform.reporting.background import BackgroundRows
from services.platform.reporting.budgets import BudgetWatch

TABLE: Final = "platform_events"
SQL = load_blocks(Path(__file__).with_name("queries.sql"))
LOOK_SECONDS = 10.0
"""The interval at which the budgets of tables are read, which costs nothing."""


class EventKind(StrEnum):
    """What has happened. Rows with the same kind and name are the same event."""

    JOB_SUCCEEDED = "JOB_SUCCEEDED"
    """A call of a Cloud Scheduler job ended well. `name`: the job, e.g. `trigger`; the latest time counts."""
    SLOT_LOST = "SLOT_LOST"
    """A run lost its reservation, because its executor died or could not renew it. `name`: its pipeline_logging_id."""
    RUN_OVERDUE = "RUN_OVERDUE"
    """A run was RUNNING after its deadline, and no executor worked on it. `name`: its pipeline_logging_id."""
    CLAIMS_LOST = "CLAIMS_LOST"
    """Claims of queued runs expired and were taken over. `name`: the id of the new claim, `value`: how many runs."""
    DML_BUDGET = "DML_BUDGET"
    """A process used much of its budget of changes to a control table. `name`: the table, `value`: the part used, 0 to 1."""


LOST: Final = {EventKind.SLOT_LOST: "slot", EventKind.CLAIMS_LOST: "claim", EventKind.RUN_OVERDUE: "overdue"}
"""Events that are leases lost, with the kind in the metric."""


class RecordEvent(Protocol):
    """Records an event; returns at once, and never raises."""

    def __call__(self, kind: EventKind, name: str, value: float = 1.0) -> None:
        """`name` and `value` as of EventKind."""
        ...


def unrecorded(kind: EventKind, name: str, value: float = 1.0) -> None:
    """Records nothing."""


class PlatformEvents:
    """Records events while its context is open, among them the budgets of control tables that this process has used."""

    def __init__(self, bq: BigQuery, clock: Clock, *, service: str, every_seconds: float) -> None:
        self._bq, self._clock, self._service = bq, clock, service
        self._rows = BackgroundRows(bq, TABLE, key="event_id", insert=SQL["insert_platform_events"], every_seconds=every_seconds)
        self._budgets, self._gauge = BudgetWatch(), BudgetGauge()
        self._periodic = Periodic("budgets", (self.look_at_budgets, LOOK_SECONDS))
        self._stack = AsyncExitStack()

    def record(self, kind: EventKind, name: str, value: float = 1.0) -> None:
        """As of RecordEvent."""
        if kind in LOST:
            LEASES_LOST.labels(LOST[kind]).inc(value)
        now = self._clock.now()
        self._rows.add(
            {
                "event_id": event_id(kind, name, self._service, now),
                "time": now.isoformat(),
                "kind": kind,
                "service": self._service,
                "name": name,
                "value": value,
            }
        )

    async def send(self) -> None:
        """Writes what waits now. Raises as BackgroundRows.send does."""
        await self._rows.send()

    async def look_at_budgets(self) -> None:
        """Shows the budgets of which much was used, and records them, see `budgets`."""
        busy = self._bq.take_busy_control_tables()
        self._gauge.show(busy)
        for table, used in self._budgets.due(busy, self._clock.now()):
            self.record(EventKind.DML_BUDGET, table, used)

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._rows)
        await self._stack.enter_async_context(self._periodic)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.__aexit__(kind, error, trace)


def event_id(kind: EventKind, name: str, service: str, now: datetime) -> str:
    """The row's id. An event that happens once has one id; an event that repeats has one for each minute and service. So a job that is
    called all the time makes only a few rows a minute.
    """
    if kind in (EventKind.JOB_SUCCEEDED, EventKind.DML_BUDGET):
        return f"{kind}/{service}/{name}/{now - timedelta(seconds=now.second, microseconds=now.microsecond):%Y-%m-%dT%H:%MZ}"
    return f"{kind}/{name}"
