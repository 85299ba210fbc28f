"""A watch that is cut goes on at another executor, and after the run has ended, from the tables: each event once, with the same id."""

from contextlib import aclosing

from services.executor.led_runs import line_id
from services.executor.runs.active import ActiveRuns
from services.executor.watch.events import Heartbeat
from services.executor.watch.places import Placed
from services.executor.watch.watches import Watches
from tests.integration.executor.runs.test_life import Begin
from tests.integration.executor.runs.test_watching import TwoExecutors, lead, summary, two, watches, write
from tests.support.executor.fakes import Work

__all__ = ["two"]


async def placed(watched: Watches, tenant_id: str, run: str, last: Placed | None, most: int | None = None) -> list[Placed]:
    """The next events after `last`, `most` of them, or else to the end."""
    got = list[Placed]()
    async with aclosing(watched.events(tenant_id, run, last[0] if last else None)) as events:
        async for one in events:
            if not isinstance(one[1], Heartbeat):
                got.append(one)
            if len(got) == most:
                break
    return got


async def test_a_cut_watch_goes_on_elsewhere_and_later(begin: Begin, two: TwoExecutors, active: ActiveRuns, work: Work) -> None:
    job = await begin(date="2025-11-17")
    of_the_run = (job.run.tenant_id, job.run.pipeline_logging_id)
    lead(active, job)
    lines = [*await write(two.leading, job.run), *await write(two.leading, job.run)]
    here, elsewhere = watches(two.leading), watches(two.store, two.leaders)

    got = await placed(here, *of_the_run, None, 3)
    got += await placed(elsewhere, *of_the_run, got[-1], 2)
    got += await placed(here, *of_the_run, got[-1], 1)
    work.end.set()
    got += await placed(elsewhere, *of_the_run, got[-1])

    assert summary([event for _, event in got]) == ["RUNNING", *map(line_id, lines), "COMPLETED"]
    # By now it is read from the tables.
    again = await placed(elsewhere, *of_the_run, None)
    assert [place for place, _ in again] == [place for place, _ in got]
    for at, last in enumerate(again):
        assert await placed(elsewhere, *of_the_run, last) == again[at + 1 :]
