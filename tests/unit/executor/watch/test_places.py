"""A watch that is cut goes on where it was: no event is left out, and where the lines are the same none comes twice."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.led_runs import LedRuns, Line, line_id, line_time
from services.executor.records import DqResult, Run, RunStatus, StepLog, StepStatus
from services.executor.watch.events import Heartbeat
from services.executor.watch.places import Place, Placed, Sequel
from services.executor.watch.watched_run import WatchedRun
from services.platform.errors import InvalidArgument

START = datetime(2026, 3, 1, tzinfo=UTC)
RUN = Run(pipeline_logging_id="run-1", tenant_id="acme", pipeline_id="acme-a-b-c", started_at=START, deadline_at=START + timedelta(hours=1))
ENDED = replace(RUN, status=RunStatus.COMPLETED)


def step(number: int, *, at: datetime = START) -> StepLog:
    return StepLog(
        log_id=f"line-{number}",
        tenant_id="acme",
        user_id=None,
        pipeline_logging_id=RUN.pipeline_logging_id,
        step_id="extract",
        step_type="bigquery.sql",
        step_index=0,
        attempt=1,
        action="STEP_STARTED",
        provider=None,
        status=StepStatus.RUNNING,
        timestamp=at,
    )


def verdict(number: int, *, at: datetime = START) -> DqResult:
    return DqResult(
        dq_result_id=f"line-{number}",
        tenant_id="acme",
        user_id=None,
        pipeline_logging_id=RUN.pipeline_logging_id,
        step_id="checks",
        table_name="t",
        check_name="c",
        severity="warn",
        status="PASSED",
        observed_value=None,
        threshold=None,
        failing_rows=0,
        executed_at=at,
    )


MAKERS: Sequence[Callable[..., Line]] = (step, verdict)


async def watch(lines: Sequence[Line], last: str, *, run: Run = RUN) -> list[Placed]:
    """All that a watch sends of a run that has these lines and has ended."""
    watched = WatchedRun()
    watched.begin(run)
    watched.add(lines)
    watched.end(ENDED)
    events = watched.events(Sequel(run=run.pipeline_logging_id, last=Place.parse(last)), 60.0)
    return [placed async for placed in events]


def names(events: Sequence[Placed]) -> list[str]:
    """Each event in a word."""
    return [
        event.status if isinstance(event, Run) else line_id(event) for _, event in events if isinstance(event, Run | StepLog | DqResult)
    ]


async def cut(lines: Sequence[Sequence[Line]], cuts: Sequence[int]) -> tuple[list[str], list[str]]:
    """What a watcher gets that is cut off after so many events, and goes on, each time where the lines are the next of `lines`; with the
    ids. At last it is not cut. Before, it is cut off before the end of the run: with that it would have all that its executor had.
    """
    got, last = list[Placed](), ""
    for seen, most in zip(lines, [*cuts, None], strict=True):
        part = [(place, event) for place, event in await watch(seen, last) if place][:most]
        if most is not None and part and isinstance(part[-1][1], Run) and part[-1][1].status == "COMPLETED":
            part.pop()
        got += part
        last = str(part[-1][0]) if part else last
    return names(got), [str(place) for place, _ in got]


CUTS = st.lists(st.integers(0, 9), max_size=4)


@given(number=st.integers(0, 8), cuts=CUTS)
async def test_with_the_same_lines_each_event_comes_once_with_the_same_id(number: int, cuts: list[int]) -> None:
    lines = [step(one) for one in range(number)]
    whole = await cut([lines], [])
    assert await cut([lines] * (len(cuts) + 1), cuts) == whole
    assert len(set(whole[1])) == number + 2


@given(data=st.data(), number=st.integers(0, 7), cuts=CUTS)
async def test_where_lines_were_lost_or_have_another_order_none_is_left_out(data: st.DataObject, number: int, cuts: list[int]) -> None:
    """Every line that the last executor has, and the end, reach the watcher."""
    order = st.permutations([step(one) for one in range(number)])
    seen = [data.draw(order)[: data.draw(st.integers(0, number))] for _ in range(len(cuts) + 1)]
    got, _ = await cut(seen, cuts)
    assert set(got) >= {"COMPLETED", *(line.log_id for line in seen[-1])}


@given(moments=st.lists(st.integers(-3, 3), max_size=8), kinds=st.data())
def test_the_tables_have_the_lines_in_the_order_in_which_memory_has_them(moments: list[int], kinds: st.DataObject) -> None:
    """Whenever the steps that run beside each other took the time."""
    runs = LedRuns()
    runs.begin(RUN)
    for number, moment in enumerate(moments):
        make = kinds.draw(st.sampled_from(MAKERS))
        runs.add(runs.stamped([make(number, at=START + timedelta(seconds=moment))]))
    led = runs.find(RUN.tenant_id, RUN.pipeline_logging_id)
    assert led is not None
    assert [line_id(line) for line in led.feed.lines] == [f"line-{number}" for number in range(len(moments))]
    assert all(earlier < later for earlier, later in pairwise(map(line_time, led.feed.lines)))


def test_a_line_of_a_run_that_is_not_executed_here_keeps_its_time() -> None:
    assert LedRuns().stamped([step(1), step(2)]) == [step(1), step(2)]


async def test_who_goes_on_with_a_live_run_hears_at_once() -> None:
    """Else a browser would take itself for not connected until the next line."""
    watched = WatchedRun()
    watched.begin(RUN)
    watched.add([step(1)])
    first = [str(place) for place, _ in await watch([step(1)], "")]
    events = watched.events(Sequel(run=RUN.pipeline_logging_id, last=Place.parse(first[1])), 60.0)
    assert isinstance((await anext(events))[1], Heartbeat)
    watched.add([step(2)])
    assert names([await anext(events)]) == ["line-2"]


async def test_after_the_end_there_is_nothing() -> None:
    whole = await watch([step(1)], "")
    assert await watch([step(1)], str(whole[-1][0]), run=ENDED) == []
    assert await watch([], str(whole[-1][0]), run=ENDED) == [], "whatever became of the lines"


@pytest.mark.parametrize("other", ["end-0000000000000000", "0-0000000000000000", "1-0000000000000000", "999999-0000000000000000"])
async def test_the_place_of_another_run_is_none_here(other: str) -> None:
    assert names(await watch([step(1)], other)) == ["RUNNING", "line-1", "COMPLETED"]


@pytest.mark.parametrize(
    "text", ["x", "1", "1-", "-1-0000000000000000", "01-0000000000000000", "1-00000000000000000", "1-ABCDEF0123456789", "\n"]
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="last_event_id: send the id"):
        Place.parse(text)
