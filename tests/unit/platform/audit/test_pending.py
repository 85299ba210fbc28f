"""What is kept in memory is bounded whatever calls come, and counts add up."""

import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.platform.audit.entry import PLATFORM, SEVERAL, ActorKind, AuditEntry
from services.platform.audit.pending import Bounds, PendingEntries

NOON = datetime(2026, 11, 26, 12, 0, 7, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
SMALL = Bounds(entries=8, entries_of_a_chain=3, counts=12, counts_of_a_chain=4)


def entry(**fields: object) -> AuditEntry:
    usual = AuditEntry(entry_id=str(uuid.uuid4()), chain="acme", time=NOON, action="RunPipeline", outcome="OK", actor_id="key-1")
    return replace(usual, **fields)  # type: ignore[arg-type]


def refused(**fields: object) -> AuditEntry:
    return entry(**{"chain": PLATFORM, "actor_id": "10.0.0.1", "outcome": "API_KEY_INVALID", **fields})


def test_a_flood_of_refused_calls_is_one_entry_a_minute() -> None:
    pending = PendingEntries()
    for call in range(10_000):
        assert pending.count(refused(time=NOON + timedelta(milliseconds=call), request_id=f"r{call}"))
    assert pending.due(NOON + timedelta(seconds=50), most=500) == []
    [found] = pending.due(LATER, most=500)
    assert (found.count, found.request_id, found.time) == (10_000, "r0", NOON)


def test_a_flood_from_everywhere_is_few_entries_that_say_so() -> None:
    pending = PendingEntries()
    for call in range(10_000):
        assert pending.count(refused(actor_id=f"10.{call >> 16}.{call >> 8 & 255}.{call & 255}", action=f"Rpc{call % 50}"))
    found = pending.due(LATER, most=500)
    assert len(found) == Bounds().counts_of_a_chain + 1
    assert sum(one.count for one in found) == 10_000
    assert [(one.action, one.actor_id, one.client_address) for one in found if one.count > 1] == [(SEVERAL, "", "")]


def test_unknown_callers_do_not_hide_an_operator_s_refused_call() -> None:
    pending = PendingEntries()
    for call in range(1_000):
        pending.count(refused(actor_id=f"10.0.{call >> 8}.{call & 255}"))
    pending.count(refused(actor_kind=ActorKind.ADMIN_KEY, actor_id="0123abcd", outcome="ADMIN_ROLE_DENIED"))
    assert [one.actor_id for one in pending.due(LATER, most=500) if one.actor_kind == ActorKind.ADMIN_KEY] == ["0123abcd"]


def test_one_tenant_cannot_take_all_the_room() -> None:
    pending = PendingEntries(SMALL)
    for place in range(100):
        assert pending.add(entry(resource=f"n={place}"))
    assert pending.add(entry(chain="globex", resource="n=1"))
    found = pending.due(LATER, most=500)
    assert [(one.chain, one.resource, one.count) for one in found] == [
        *(("acme", f"n={place}", 1) for place in range(3)),
        ("globex", "n=1", 1),
        ("acme", "", 97),
    ]


def test_what_is_not_stored_stays_and_what_is_makes_room() -> None:
    pending = PendingEntries(SMALL)
    for _ in range(3):
        pending.add(entry())
    first = pending.due(NOON, most=2)
    assert pending.due(NOON, most=2) == first
    pending.stored(first)
    assert len(pending.due(NOON, most=2)) == 1
    pending.stored(first)
    assert pending.add(entry(resource="n=4"))
    assert pending.due(NOON, most=9)[-1].resource == "n=4"


def test_a_stopping_service_does_not_wait_for_the_minute() -> None:
    pending = PendingEntries()
    pending.count(refused())
    assert [one.count for one in pending.due(NOON, most=9, is_last=True)] == [1]


CALLS = st.lists(
    st.tuples(st.sampled_from(["add", "count", "send"]), st.sampled_from("abcdef"), st.sampled_from("ghijklmn"), st.integers(0, 5)),
    max_size=200,
)


@given(calls=CALLS)
def test_memory_is_bounded_and_every_call_is_kept_counted_or_reported_as_dropped(calls: list[tuple[str, str, str, int]]) -> None:
    pending, seen, sent = PendingEntries(SMALL), Counter[str](), Counter[str]()
    for what, chain, action, minute in calls:
        now = NOON + timedelta(minutes=minute)
        if what == "send":
            batch = pending.due(now, most=3)
            sent.update({one.chain: 0 for one in batch})
            for one in batch:
                sent[one.chain] += one.count
            pending.stored(batch)
            continue
        keep = pending.add if what == "add" else pending.count
        if keep(entry(chain=chain, action=action, time=now)):
            seen[chain] += 1
        assert len(pending) <= SMALL.entries + SMALL.counts
    while batch := pending.due(NOON, most=5, is_last=True):
        for one in batch:
            sent[one.chain] += one.count
        pending.stored(batch)
    assert +sent == +seen
    assert len(pending) == 0
