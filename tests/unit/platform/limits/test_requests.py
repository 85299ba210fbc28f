"""How many requests a minute are let through, by owner and by key. Time is passed in; nothing sleeps."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.platform.limits.requests import MAX_KEYS, RequestLimits

PER_MINUTE = 600
STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5)), max_size=300)


def limits(*, key_share: float = 0.8, max_owners: int = 10) -> RequestLimits:
    return RequestLimits(key_share=key_share, max_owners=max_owners)


def granted(given: RequestLimits, key: str, asked: int, now: float, *, owner: str = "acme") -> int:
    return sum(given.ask(owner, key, PER_MINUTE, now).wait is None for _ in range(asked))


@given(STEPS, st.integers(1, 50))
def test_no_period_gives_more_than_a_full_bucket_and_what_came_meanwhile(steps: list[tuple[str, float]], per_minute: int) -> None:
    tried, now, passed = limits(), 0.0, list[float]()
    for key, later in steps:
        now += later
        if tried.ask("acme", key, per_minute, now).wait is None:
            passed.append(now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= per_minute * (1 + (passed[last] - passed[first]) / 60) + 1e-6


@given(STEPS, st.integers(1, 50))
def test_a_client_that_waits_as_the_refusal_says_is_let_through(steps: list[tuple[str, float]], per_minute: int) -> None:
    tried, now = limits(), 0.0
    for key, later in steps:
        now += later
        answer = tried.ask("acme", key, per_minute, now)
        assert 0 <= answer.left <= per_minute
        if answer.wait is not None:
            assert answer.left == 0
            now += answer.wait.total_seconds() + 1e-6
            assert tried.ask("acme", key, per_minute, now).wait is None


def test_a_key_that_is_alone_has_the_whole_limit() -> None:
    assert granted(limits(), "only", 1_000, 0.0) == PER_MINUTE


def test_a_key_in_a_loop_leaves_something_for_the_other_keys() -> None:
    """It asks 100 times a second, the other one once; together they have no more than the limit."""
    tried = limits()
    granted(tried, "greedy", 2_000, 0.0)
    passed = Counter[str]()
    for second in range(1, 121):
        for _ in range(100):
            passed["greedy"] += tried.ask("acme", "greedy", PER_MINUTE, float(second)).wait is None
        passed["modest"] += tried.ask("acme", "modest", PER_MINUTE, second + 0.5).wait is None
    assert passed["modest"] >= 118
    assert passed.total() <= 2 * PER_MINUTE + 1
    assert passed["greedy"] >= PER_MINUTE


def test_another_owner_does_not_notice() -> None:
    tried = limits()
    assert granted(tried, "k", 1_000, 0.0) == PER_MINUTE
    assert granted(tried, "k", 10, 0.0, owner="other") == 10


def test_a_new_limit_holds_at_once() -> None:
    tried = limits()
    tried.ask("acme", "k", PER_MINUTE, 0.0)
    answer = tried.ask("acme", "k", 2, 0.0)
    assert (answer.per_minute, answer.left) == (2, 1)


def test_owners_and_keys_are_bounded() -> None:
    tried = limits(max_owners=3)
    for number in range(10):
        tried.ask(f"owner {number}", "k", PER_MINUTE, 0.0)
    assert list(tried._owners) == ["owner 7", "owner 8", "owner 9"]
    for number in range(2 * MAX_KEYS):
        tried.ask("owner 9", f"key {number}", PER_MINUTE, 0.0)
    assert len(tried._owners["owner 9"].keys) == MAX_KEYS


@pytest.mark.parametrize(("asked", "left", "full"), [(1, 599, 1), (10, 590, 1), (11, 589, 2), (599, 1, 60), (600, 0, 1), (700, 0, 1)])
def test_the_headers_say_what_is_left(asked: int, left: int, full: int) -> None:
    tried = limits()
    granted(tried, "k", asked - 1, 0.0)
    assert tried.ask("acme", "k", PER_MINUTE, 0.0).headers == {
        "ratelimit-policy": '"default";q=600;w=60',
        "ratelimit": f'"default";r={left};t={full}',
    }
