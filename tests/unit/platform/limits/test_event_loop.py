"""How late the event loop is, as a metric, and the test support that finds what makes it late."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.platform import metrics
from services.platform.limits.event_loop import INTERVAL_SECONDS, WINDOW_SECONDS, LateWindow, watched_event_loop
from tests.support.loop_watch import no_step_longer_than


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 10)), min_size=1))
def test_the_greatest_delay_of_the_last_minute_is_kept(steps: list[tuple[float, float]]) -> None:
    window, now, seen = LateWindow(), 0.0, list[tuple[float, float]]()
    for later, late in steps:
        now += later
        seen.append((now, late))
        assert window.add(late, now) == max(late for at, late in seen if at > now - WINDOW_SECONDS)


async def test_a_loop_that_is_held_up_is_seen() -> None:
    async with watched_event_loop():
        await asyncio.sleep(2 * INTERVAL_SECONDS)
        time.sleep(0.5)  # noqa: ASYNC251 - this is what is looked for
        await asyncio.sleep(2 * INTERVAL_SECONDS)
    assert metrics.EVENT_LOOP_LAG_MAX._value.get() >= 0.5 - INTERVAL_SECONDS


def spin(cpu_seconds: float) -> None:
    until = time.thread_time() + cpu_seconds
    while time.thread_time() < until:
        pass


async def test_a_step_that_computes_for_long_is_found_and_one_that_waits_or_uses_a_thread_is_not() -> None:
    with no_step_longer_than(0.1) as longest:
        await asyncio.sleep(0.2)
        time.sleep(0.2)  # noqa: ASYNC251 - as if the machine did something else
        await asyncio.to_thread(spin, 0.2)
    assert longest.what != "nothing"
    with pytest.raises(AssertionError, match="on the event loop"), no_step_longer_than(0.1):
        await asyncio.create_task(compute())


async def compute() -> None:
    spin(0.2)
