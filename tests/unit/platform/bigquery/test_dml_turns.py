"""Who begins next where statements wait for a table's rate limit."""

import asyncio
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.platform.bigquery.dml_rate_limiter import WINDOW_SECONDS
from services.platform.bigquery.dml_turns import MAX_WAITING, DmlLine, DmlTurns, Waiting
from services.platform.errors import ResourceExhausted, Unavailable
from services.platform.turns import ALL, on_behalf_of

BUDGET = 25


def waiting(tenant_id: str, *tables: str, deadline: float = math.inf, is_look: bool = False) -> Waiting:
    return Waiting(tenant_id=tenant_id, tables=tables or ("t",), deadline=deadline, is_look=is_look)


def joined(line: DmlLine, tenant_id: str, count: int, *tables: str) -> list[Waiting]:
    jobs = [waiting(tenant_id, *tables) for _ in range(count)]
    for job in jobs:
        line.join(job)
    return jobs


def names(line: DmlLine, now: float) -> list[str]:
    return [one.tenant_id for one in line.decide(now).begin]


def test_of_sixty_writers_of_one_tenant_and_one_of_another_the_other_is_sent_at_once() -> None:
    """The greedy tenant has three fifths of the budget, however much it asks for; the suite a fifth that no tenant gets."""
    line = DmlLine(statements=BUDGET)
    joined(line, "greedy", 60)
    assert names(line, 0.0) == ["greedy"] * 15
    joined(line, "good", 1)
    assert names(line, 1.0) == ["good"]
    joined(line, ALL, 5)
    assert names(line, 1.0) == [ALL] * 5
    assert names(line, 9.9) == []
    assert names(line, 10.0) == ["greedy"] * 15


@pytest.mark.parametrize("crowd", [1, 3, 30])
def test_where_tenants_have_used_up_everything_a_newcomer_is_next_but_one_for_each_other(crowd: int) -> None:
    line = DmlLine(statements=BUDGET)
    for number in range(20):
        joined(line, f"early{number}", 1)
        assert len(names(line, number / 10)) == 1
    for number in range(crowd):
        joined(line, f"greedy{number}", 20)
    assert names(line, 5.0) == []
    joined(line, "good", 1)
    order, now = list[str](), 5.0
    while "good" not in order:
        now += line.decide(now).again + 1e-6
        order += names(line, now)
    assert order.index("good") == crowd
    assert set(order[:crowd]) == {f"greedy{number}" for number in range(crowd)}


def test_the_suites_own_work_goes_first_and_leaves_waiting_tenants_a_share() -> None:
    line = DmlLine(statements=BUDGET)
    joined(line, ALL, 30)
    assert names(line, 0.0) == [ALL] * 25
    joined(line, "a", 3)
    assert names(line, 10.0) == [ALL] * 5 + ["a"] * 3
    joined(line, ALL, 30)
    joined(line, "a", 3)
    assert names(line, 11.0) == [ALL] * 15 + ["a"] * 2


def test_a_table_is_busy_when_more_than_half_of_its_budget_was_used_in_ten_seconds() -> None:
    """The busiest ten seconds count, until they are taken; statements that only wait do not."""
    line = DmlLine(statements=10)
    joined(line, ALL, 4, "calm")
    joined(line, ALL, 6, "busy")
    line.decide(0.0)
    joined(line, ALL, 2, "busy")
    joined(line, ALL, 5, "calm")
    line.decide(9.0)
    assert line.take_busy() == {"busy": 0.8, "calm": 0.9}
    joined(line, ALL, 4, "busy")
    line.decide(10.5)
    assert line.take_busy() == {"busy": 0.6}
    joined(line, ALL, 60, "busy")
    line.decide(20.6)
    assert (line.take_busy(), line.take_busy()) == ({"busy": 1.0}, {})


def test_a_large_script_is_not_passed_for_ever_and_holds_no_other_tenant_up_for_its_own_share() -> None:
    line = DmlLine(statements=5)
    joined(line, "a", 2)
    assert names(line, 0.0) == ["a", "a"]
    [script] = joined(line, "a", 1, "t", "t")
    joined(line, "a", 1)
    joined(line, "b", 1)
    assert names(line, 1.0) == ["b"]
    assert line.decide(10.0).begin[0] is script


def test_after_a_look_the_table_is_left_to_the_one_that_looked() -> None:
    line = DmlLine(statements=BUDGET)
    look = waiting(ALL, is_look=True)
    line.join(look)
    joined(line, "a", 1)
    assert line.decide(0.0).begin == [look]
    joined(line, ALL, 1)
    assert names(line, 0.0) == [ALL, "a"]


EVENTS = st.lists(st.tuples(st.floats(0, 2), st.sampled_from([ALL, "a", "b", "c"]), st.integers(1, 3), st.integers(1, 2)), max_size=50)


@given(EVENTS, st.sampled_from([1, 2, 5, 11]))
def test_the_budget_holds_in_every_window_and_all_that_waits_begins(events: list[tuple[float, str, int, int]], budget: int) -> None:
    """A tenant's jobs begin in order, and none begins earlier than was said when it joined."""
    line, now, begun = DmlLine(statements=budget), 0.0, list[tuple[float, Waiting]]()
    earliest = dict[Waiting, float]()

    def run(until: float) -> None:
        nonlocal now
        while line:
            decision = line.decide(now)
            assert not decision.late
            begun.extend((now, one) for one in decision.begin)
            if now + decision.again > until:
                break
            now += max(decision.again, 1e-6)
        now = max(now, until) if until < math.inf else now

    for gap, tenant_id, jobs, statements in events:
        run(now + gap)
        for _ in range(jobs):
            one = waiting(tenant_id, *["t"] * statements)
            line.join(one)
            earliest[one] = now + line.at_best(one, now)
    run(math.inf)
    assert len(begun) == len(earliest)
    for tenant_id in {one.tenant_id for one in earliest}:
        assert [one for _, one in begun if one.tenant_id == tenant_id] == [one for one in earliest if one.tenant_id == tenant_id]
    for start, one in begun:
        inside = sum(len(other.tables) for at, other in begun if start <= at < start + WINDOW_SECONDS - 1e-3)
        assert inside <= max(budget, len(one.tables))


async def _send(turns: DmlTurns, tenant_id: str, sent: list[str], seconds: float = 60.0) -> None:
    on_behalf_of.set(tenant_id)
    await turns.take("write", ["t"], time.monotonic() + seconds)
    sent.append(tenant_id)


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def short_window(monkeypatch: pytest.MonkeyPatch) -> float:
    """A window of half a second, for what really waits."""
    for module in ("dml_turns", "dml_rate_limiter"):
        monkeypatch.setattr(f"services.platform.bigquery.{module}.WINDOW_SECONDS", 0.5)
    return 0.5


async def test_those_that_wait_wake_in_order_and_one_cancelled_leaves_no_hole(short_window: float) -> None:
    turns, sent = DmlTurns(statements=5), list[str]()
    began = time.monotonic()
    tasks = [asyncio.create_task(_send(turns, name, sent)) for name in "abcd"]
    await _settled()
    assert sent == ["a", "b", "c", "d"]
    waiters = [asyncio.create_task(_send(turns, name, sent)) for name in "eeeeegh"]
    await _settled()
    waiters[0].cancel()
    await asyncio.wait([*tasks, *waiters])
    assert "".join(sent[4:]) == "eghe" + "ee"
    assert 2 * short_window <= time.monotonic() - began < 6 * short_window


async def test_a_grant_that_is_cancelled_in_the_same_moment_is_given_back(short_window: float) -> None:
    turns, sent = DmlTurns(statements=1), list[str]()
    await asyncio.create_task(_send(turns, "a", sent))
    second, third = (asyncio.create_task(_send(turns, name, sent)) for name in "bc")
    await _settled()
    granted = next(iter(turns._answers.values()))
    began = time.monotonic()
    while not granted.done():
        await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second, third])
    assert second.cancelled()
    assert sent == ["a", "c"]
    assert time.monotonic() - began < 2 * short_window


async def test_what_cannot_begin_in_time_is_refused_at_once_as_its_own_tenants_problem() -> None:
    turns, sent = DmlTurns(statements=5), list[str]()
    greedy = [asyncio.create_task(_send(turns, "greedy", sent)) for _ in range(3 + MAX_WAITING)]
    await _settled()
    with pytest.raises(ResourceExhausted) as refused:  # it has its share of statements that wait
        await asyncio.create_task(_send(turns, "greedy", sent))
    assert refused.value.reason == "RATE_LIMITED"
    assert refused.value.retry_after is not None
    assert 69 <= refused.value.retry_after.total_seconds() <= 80
    greedy.pop().cancel()
    await _settled()
    with pytest.raises(ResourceExhausted):
        await asyncio.create_task(_send(turns, "greedy", sent, seconds=20))
    await asyncio.create_task(_send(turns, "good", sent, seconds=1))
    with pytest.raises(Unavailable):  # four of five are the tenants', and this one has sent nothing yet
        await asyncio.create_task(_send(turns, "third", sent, seconds=1))
    await asyncio.create_task(_send(turns, ALL, sent, seconds=1))
    assert sent == ["greedy"] * 3 + ["good", ALL]
    for task in greedy:
        task.cancel()
    await asyncio.wait(greedy)
