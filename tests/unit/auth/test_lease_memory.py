"""When the ledger's table must be read about leases, and when its version and the time say enough. Pure."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.lease_memory import LONGEST_UNREAD, ExpiryForecast, LeaseMemory

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
LEASE = timedelta(seconds=60)
V1, V2 = ("1",), ("2",)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def test_leases_are_known_while_the_table_has_not_changed() -> None:
    memory = LeaseMemory()
    assert memory.recall(V1, ["a"]) is None
    memory.keep(V1, {"a": NOON, "gone": None})
    memory.keep(V1, {"b": NOON})
    assert memory.recall(V1, ["a", "b", "gone"]) == {"a": NOON, "b": NOON, "gone": None}
    assert memory.recall(V1, ["a", "new"]) is None
    assert memory.recall(V2, ["a"]) is None
    assert memory.recall(None, ["a"]) is None
    memory.keep(V2, {"b": None})
    assert memory.recall(V2, ["a"]) is None


def test_nothing_is_ruled_out_before_the_first_reading() -> None:
    assert not ExpiryForecast(LEASE).rules_out(V1, NOON)


def test_an_idle_table_is_not_read_but_once_in_a_while() -> None:
    forecast = ExpiryForecast(LEASE)
    forecast.note(V1, NOON, some_expired=False, next_end=None)
    now = NOON
    while now < NOON + LONGEST_UNREAD:
        assert forecast.rules_out(V1, now)
        now += seconds(20)
    assert not forecast.rules_out(V1, now)


def test_the_next_end_is_waited_for_and_not_longer() -> None:
    forecast = ExpiryForecast(LEASE)
    forecast.note(V1, NOON, some_expired=False, next_end=NOON + seconds(30))
    assert forecast.rules_out(V1, NOON + seconds(29))
    assert not forecast.rules_out(V1, NOON + seconds(30))


@pytest.mark.parametrize("version", [V2, None])
def test_where_the_table_has_changed_a_lease_may_have_begun_just_after_it_was_known(version: tuple[str, ...] | None) -> None:
    """It was unchanged for the last time 20 s after the reading."""
    forecast = ExpiryForecast(LEASE)
    forecast.note(V1, NOON, some_expired=False, next_end=None)
    assert forecast.rules_out(V1, NOON + seconds(20))
    assert forecast.rules_out(version, NOON + seconds(79))
    assert not forecast.rules_out(version, NOON + seconds(80))


def test_expired_leases_are_read_until_they_are_gone() -> None:
    forecast = ExpiryForecast(LEASE)
    forecast.note(V1, NOON, some_expired=True, next_end=None)
    assert not forecast.rules_out(V1, NOON)


EVENTS = st.tuples(st.integers(0, 90), st.sampled_from(["reserve", "renew", "settle", "sweep", "sweep"]))


@given(events=st.lists(EVENTS, min_size=1, max_size=40))
def test_no_expired_lease_is_ever_missed(events: list[tuple[int, str]]) -> None:
    """A table of leases beside the forecast: whenever the forecast rules expired ones out, there is none."""
    forecast, now, version, leases = ExpiryForecast(LEASE), NOON, 0, list[datetime]()
    for wait, event in events:
        now += seconds(wait)
        if event == "sweep":
            expired = [end for end in leases if end <= now]
            if forecast.rules_out((str(version),), now):
                assert not expired
                continue
            to_come = [end for end in leases if end > now]
            forecast.note((str(version),), now, some_expired=bool(expired), next_end=min(to_come, default=None))
            continue
        if event == "reserve":
            leases.append(now + LEASE)
        elif event == "renew" and leases:
            leases = [now + LEASE if end > now else end for end in leases]
        elif leases:
            leases.pop(0)
        version += 1
