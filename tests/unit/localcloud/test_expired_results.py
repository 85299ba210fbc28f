"""When the emulator drops the result of a query."""

import pytest

from localcloud.bigquery.expired_results import KEPT_SECONDS, READ_SECONDS, Ages, Reference

ONE, OTHER = ("p", "_results", "one"), ("p", "_results", "other")


@pytest.mark.parametrize(
    ("events", "now", "dropped"),
    [
        pytest.param([("written", ONE, 0)], KEPT_SECONDS - 1, [], id="unread, it is kept for a day"),
        pytest.param([("written", ONE, 0)], KEPT_SECONDS, [ONE], id="and no longer"),
        pytest.param([("written", ONE, 0), ("read", ONE, 50)], READ_SECONDS + 49, [], id="read, for an hour"),
        pytest.param([("written", ONE, 0), ("read", ONE, 50)], READ_SECONDS + 50, [ONE], id="and no longer then"),
        pytest.param([("written", ONE, 0), ("read", ONE, 50), ("read", ONE, 90)], READ_SECONDS + 50, [], id="since it was read last"),
        pytest.param([("written", ONE, 0), ("read", ONE, 50), ("written", ONE, 60)], READ_SECONDS + 50, [], id="anew it is unread"),
        pytest.param([("written", ONE, 0), ("read", ONE, KEPT_SECONDS - 1)], KEPT_SECONDS, [ONE], id="for a day at most"),
        pytest.param([("read", ONE, 0)], KEPT_SECONDS, [], id="what is none of the results is none of its matter"),
        pytest.param([("written", ONE, 0), ("written", OTHER, 1), ("read", OTHER, 2)], READ_SECONDS + 2, [OTHER], id="the read one first"),
    ],
)
def test_a_result_is_dropped_when_it_is_old(events: list[tuple[str, Reference, float]], now: float, dropped: list[Reference]) -> None:
    ages = Ages()
    for what, reference, time in events:
        (ages.note_written if what == "written" else ages.note_read)(reference, time)

    assert ages.take_old(now, most=10) == dropped
    assert ages.take_old(now, most=10) == []


def test_only_so_many_are_dropped_at_once() -> None:
    ages = Ages()
    for number in range(5):
        ages.note_written(("p", "_results", str(number)), number)

    assert [len(ages.take_old(2 * KEPT_SECONDS, most=2)) for _ in range(4)] == [2, 2, 1, 0]
