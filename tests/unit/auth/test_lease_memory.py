"""When the ledger's table must be read about leases, and when its version and the time say enough. Pure."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.lease_memory import LONGEST_UNREAD, LeaseMemory
from services.auth.store import StoredLease

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
LEASE = timedelta(seconds=60)
V1, V2 = ("1",), ("2",)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def lease(name: str, ends: datetime) -> StoredLease:
    return StoredLease(tenant_id="acme", reservation_id=name, usage_date=date(2026, 3, 10), lease_expires_at=ends)


@pytest.fixture
def memory() -> LeaseMemory:
    """Read at noon under V1: one lease ends after 30 s, one after 40."""
    memory = LeaseMemory(LEASE)
    memory.keep(V1, NOON, [lease("late", after(40)), lease("early", after(30))])
    return memory


def test_leases_are_known_while_the_table_has_not_changed(memory: LeaseMemory) -> None:
    assert memory.is_current(V1, after(1))
    assert memory.held(["early", "late", "gone"], after(29)) == {"early", "late"}
    assert memory.held(["early", "late", "gone"], after(30)) == {"late"}
    assert not memory.is_current(V2, after(1))
    assert not memory.is_current(None, after(1))


def test_expired_leases_are_known_as_well(memory: LeaseMemory) -> None:
    assert memory.expired(after(29)) == []
    assert [one.reservation_id for one in memory.expired(after(40))] == ["early", "late"]


def test_nothing_is_known_before_the_first_reading() -> None:
    memory = LeaseMemory(LEASE)
    assert not memory.is_current(None, NOON)
    assert not memory.is_current(V1, NOON)
    assert not memory.rules_out_expired(NOON)


def test_the_table_is_read_once_in_a_while_whatever_its_version() -> None:
    memory = LeaseMemory(LEASE)
    memory.keep(V1, NOON, [])
    assert memory.is_current(V1, NOON + LONGEST_UNREAD - timedelta(seconds=1))
    assert not memory.is_current(V1, NOON + LONGEST_UNREAD)
    assert not memory.rules_out_expired(NOON + LONGEST_UNREAD)


def test_in_a_table_that_has_changed_no_lease_ends_before_the_first_that_was_known(memory: LeaseMemory) -> None:
    assert memory.rules_out_expired(after(29))
    assert not memory.rules_out_expired(after(30))


def test_a_new_lease_may_have_begun_just_after_the_table_was_known() -> None:
    """It was known for the last time 20 s after the reading."""
    memory = LeaseMemory(LEASE)
    memory.keep(V1, NOON, [])
    assert memory.is_current(V1, after(20))
    assert not memory.is_current(V2, after(50))
    assert memory.rules_out_expired(after(79))
    assert not memory.rules_out_expired(after(80))


EVENTS = st.tuples(st.integers(0, 90), st.sampled_from(["reserve", "renew", "settle", "sweep", "sweep"]))


@given(events=st.lists(EVENTS, min_size=1, max_size=40))
def test_no_expired_lease_is_ever_missed(events: list[tuple[int, str]]) -> None:
    """A table of leases beside the memory, which answers as the table would whenever it answers."""
    memory, now, version, table = LeaseMemory(LEASE), NOON, 0, list[StoredLease]()
    for number, (wait, event) in enumerate(events):
        now += timedelta(seconds=wait)
        if event == "sweep":
            expired = {one.reservation_id for one in table if one.lease_expires_at <= now}
            if memory.is_current((str(version),), now):
                assert {one.reservation_id for one in memory.expired(now)} == expired
            elif memory.rules_out_expired(now):
                assert not expired
            else:
                memory.keep((str(version),), now, table)
            continue
        if event == "reserve":
            table.append(lease(str(number), now + LEASE))
        elif event == "renew":
            table = [replace(one, lease_expires_at=now + LEASE) if one.lease_expires_at > now else one for one in table]
        else:
            table = table[1:]
        version += 1
