"""A random life of a tenant of two clouds, compared with a model in plain Python after everything that happens."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from services.executor.records import RunStatus
from tests.support.executor.replay.timeline import EVERY_HOUR
from tests.support.exports.aws_focus import AwsFocusExport
from tests.support.exports.azure_focus import AzureFocusExport
from tests.support.exports.focus_rows import Row, moved, sums, toolkit_rows
from tests.support.exports.objects import Delivered
from tests.support.exports.tables import assert_agrees, assert_whole
from tests.support.exports.world import AWS, AZURE, World

MAY, JUNE = date(2026, 5, 1), date(2026, 6, 1)
PIPELINES = {AWS: "aws/cost/focus", AZURE: "azure/cost/focus"}
ACTIONS = 120 if EVERY_HOUR else 9
SEEDS = range(4) if EVERY_HOUR else range(1)

type Export = AwsFocusExport | AzureFocusExport


@dataclass
class Month:
    """One billing period of one export: what lies in the cloud, and what must be published."""

    export: Export
    first: date
    rows: list[Row] = field(default_factory=list)
    """Delivered last; empty: nothing was."""
    gone: list[str] = field(default_factory=list)
    """Names of its files that are missing."""
    delivered: Delivered | None = None
    published: list[Row] = field(default_factory=list)


class Life:
    """What may happen, chosen at random."""

    def __init__(self, world: World, name: str, seed: int) -> None:
        self.world, self.random = world, Random(seed)
        self.now = datetime.now(UTC)
        aws = AwsFocusExport(bucket=world.bucket, name=f"{name}-a")
        others: list[Export] = [
            AwsFocusExport(bucket=world.bucket, name=f"{name}-b", format="csv", overwrite=False),
            AzureFocusExport(name=name),
        ]
        self.months = [Month(export, first) for export in (aws, *others) for first in (MAY, JUNE)]
        self.log = list[str]()

    def actions(self) -> list[Callable[[], Awaitable[None]]]:
        return [self.deliver, self.deliver, self.run, self.run, self.run, self.lose_a_file]

    def note(self, what: str, month: Month) -> None:
        self.log.append(f"{what} {month.export.name} {month.first:%Y-%m}")

    async def deliver(self) -> None:
        """A first version, or a restatement: amounts, added rows, moved days, and up to a third of the rows gone."""
        month = self.random.choice(self.months)
        cloud = cloud_of(month.export)
        fresh = moved(self.random.sample(toolkit_rows(cloud), 12), month.first)
        kept = self.random.sample(month.rows, len(month.rows) * 3 // 4)
        changed = [row | {"BilledCost": row["BilledCost"] + Decimal(self.random.randrange(100)) / 100} for row in kept]
        month.rows = changed + fresh
        self.now += timedelta(minutes=1)
        month.delivered, month.gone = month.export.deliver(month.first, month.rows, files=self.random.randint(1, 3), at=self.now), []
        self.world.place(cloud, month.delivered)
        self.note("deliver", month)

    async def lose_a_file(self) -> None:
        """A file is away, and comes back with the next delivery."""
        month = self.random.choice(self.months)
        if month.delivered and not month.gone:
            month.gone = [month.delivered.data[0].key]
            self.world.remove(cloud_of(month.export), month.gone)
            self.note("lose", month)

    async def run(self) -> None:
        """One month by name."""
        month = self.random.choice([one for one in self.months if one.rows] or self.months)
        outcome = await self.world.attempt(
            PIPELINES[cloud_of(month.export)], export=month.export.location, month=f"{month.first:%Y-%m}", accept_less=True
        )
        self.note(f"run {outcome.status}", month)
        if month.rows and not month.gone:
            assert outcome.status is RunStatus.COMPLETED, outcome.error_message
            month.published = month.rows
        else:
            assert not outcome.rows_processed, outcome

    async def judge(self) -> None:
        """Every month holds what the model says."""
        published = await self.world.published()
        for month in self.months:
            assert_agrees(published.sums(month.export.location, month.first), sums(month.published))
        assert_whole(published)


def cloud_of(export: Export) -> str:
    return AWS if isinstance(export, AwsFocusExport) else AZURE


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_happens_the_table_is_what_the_model_says(world: World, name: str, seed: int) -> None:
    life = Life(world, name, seed)
    for number in range(ACTIONS):
        action = life.deliver if number < 2 else life.random.choice(life.actions())
        await action()
        if action == life.run or number == ACTIONS - 1:
            try:
                await life.judge()
            except AssertionError as error:
                raise AssertionError(f"after {life.log}: {error}") from error
