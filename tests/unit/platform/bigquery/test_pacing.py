"""The DML rate limit of a table: decisions over times that are passed in."""

from hypothesis import given
from hypothesis import strategies as st

from services.platform.bigquery.dml_rate_limiter import FIRST_PAUSE, LONGEST_PAUSE, MAX_TABLES, WINDOW_SECONDS, DmlRateLimiter

MOST = 5


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["a", "b"]), st.integers(1, 3)), max_size=60))
def test_never_more_than_the_budget_begins_within_any_window(calls: list[tuple[float, str, int]]) -> None:
    """Each call waits as long as it must; whatever came before, no 10 seconds hold more, and no call waits longer than a window."""
    pace, now = DmlRateLimiter(statements=MOST), 0.0
    begun: dict[str, list[float]] = {"a": [], "b": []}
    for gap, table, count in calls:
        now += gap
        wait = pace.wait([table] * count, now)
        assert wait <= WINDOW_SECONDS + 1e-6
        now += wait
        assert pace.wait([table] * count, now) <= 1e-9
        pace.begin([table] * count, now)
        begun[table] += [now] * count
    for times in begun.values():
        for start in times:
            assert sum(start <= one < start + WINDOW_SECONDS - 1e-6 for one in times) <= MOST


def test_below_the_budget_nothing_waits_and_tables_do_not_share() -> None:
    pace = DmlRateLimiter(statements=MOST)
    for _ in range(MOST):
        assert pace.wait(["a"], 1.0) == 0.0
        pace.begin(["a"], 1.0)
    assert (pace.wait(["a"], 2.0), pace.wait(["b"], 2.0), pace.wait(["b", "a"], 2.0)) == (9.0, 0.0, 9.0)
    assert pace.wait([], 2.0) == 0.0


def test_a_script_larger_than_the_budget_waits_for_a_quiet_table_only() -> None:
    pace = DmlRateLimiter(statements=MOST)
    assert pace.wait(["a"] * 9, 0.0) == 0.0
    pace.begin(["a"] * 9, 0.0)
    assert (pace.wait(["a"] * 9, 4.0), pace.wait(["a"] * 9, 10.0)) == (6.0, 0.0)


def test_a_refused_table_is_left_alone_for_longer_each_time_until_it_takes_one() -> None:
    pace, now, pauses = DmlRateLimiter(statements=MOST), 0.0, list[float]()
    for _ in range(5):
        pace.refused(["a", "a"], now)
        pauses.append(pace.wait(["a"], now))
        now += pauses[-1]
    assert pauses == [FIRST_PAUSE, 2.0, 4.0, LONGEST_PAUSE, LONGEST_PAUSE]
    assert pace.wait(["b"], now) == 0.0
    pace.passed(["a"])
    pace.refused(["a"], now)
    assert pace.wait(["a"], now) == FIRST_PAUSE


def test_statements_refused_together_are_one_refusal() -> None:
    pace = DmlRateLimiter(statements=MOST)
    for now in (0.0, 0.0, 0.5):
        pace.refused(["a"], now)
    assert pace.wait(["a"], 0.5) == FIRST_PAUSE - 0.5


def test_tables_that_were_only_asked_about_are_forgotten_with_the_others() -> None:
    pace = DmlRateLimiter(statements=MOST)
    pace.begin(["asked"], 0.0)
    assert pace.wait(["asked"], WINDOW_SECONDS) == 0.0
    for number in range(MAX_TABLES + 1):
        pace.begin([f"t{number}"], WINDOW_SECONDS)
    assert len(pace._begun) == MAX_TABLES + 1
