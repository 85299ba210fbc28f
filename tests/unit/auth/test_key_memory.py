"""What is kept of answers about keys, by the version of the tables and by time. Pure."""

from typing import Any

import pytest

from services.auth.key_memory import MAX_READ_AGAIN, REFUSED_SECONDS, KeyMemory
from services.platform.access.key_holder import KeyHolder
from tests.unit.platform.test_waiting import Time

SECONDS = 300.0
V1, V2 = ("1",), ("2",)


def holder(**changes: Any) -> KeyHolder:
    known: dict[str, Any] = {"tenant_id": "acme", "api_key_id": "k", "scopes": (), "tenant_active": True, "subscription_active": True}
    return KeyHolder(**{**known, **changes})


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def memory(time: Time) -> KeyMemory:
    """Knows that `a` has a holder and `b` has none, under V1."""
    memory = KeyMemory(seconds=SECONDS, size=10, monotonic=time)
    assert not memory.recall(V1, {"a", "b"})
    memory.keep(V1, {"a": holder(), "b": None})
    return memory


def test_what_is_known_is_recalled_while_the_tables_have_not_changed(memory: KeyMemory) -> None:
    assert memory.recall(V1, {"a", "b", "c"}) == {"a": holder(), "b": None}
    assert memory.to_read({"c"}) == {"c"}


def test_a_change_drops_everything_and_one_statement_reads_the_keys_in_use_again(memory: KeyMemory) -> None:
    """The refused `b` is read again only if somebody asks for it."""
    memory.recall(V1, {"a", "b"})

    assert memory.recall(V2, {"c"}) == {}

    assert memory.to_read({"c"}) == {"a", "c"}
    assert memory.to_read({"c"}) == {"c"}, "once"
    memory.keep(V2, {"a": None, "c": holder()})
    assert memory.recall(V2, {"a", "c"}) == {"a": None, "c": holder()}


def test_a_key_that_was_not_used_since_the_last_change_is_not_read_again(memory: KeyMemory) -> None:
    memory.recall(V2, {"c"})
    assert memory.to_read({"c"}) == {"c"}


def test_what_was_read_before_a_change_is_not_kept_after_it(memory: KeyMemory) -> None:
    """The statement was sent under V1; meanwhile another caller has seen V2."""
    memory.recall(V2, {"a"})
    memory.keep(V1, {"a": holder()})
    assert not memory.recall(V2, {"a"})


def test_an_own_change_is_forgotten_whatever_the_version_says(memory: KeyMemory) -> None:
    """Also what a statement in flight has found, and the next statement reads the keys in use."""
    memory.recall(V1, {"a"})
    memory.forget()
    memory.keep(V1, {"a": holder()})
    assert not memory.recall(V1, {"a", "c"})
    assert memory.to_read({"c"}) == {"a", "c"}


def test_without_a_version_nothing_is_recalled_and_nothing_is_lost(memory: KeyMemory) -> None:
    assert not memory.recall(None, {"a", "b"})
    memory.keep(None, {"a": None})
    assert memory.recall(V1, {"a"}) == {"a": holder()}


def test_the_whole_memory_ends_at_once_so_that_one_statement_renews_it(memory: KeyMemory, time: Time) -> None:
    """`c` came late, and is not known for longer than `a`."""
    time.now += SECONDS - 1
    assert memory.recall(V1, {"a", "c"}).keys() == {"a"}
    memory.keep(V1, {"c": holder()})
    assert memory.recall(V1, {"a", "c"}).keys() == {"a", "c"}
    time.now += 1
    assert not memory.recall(V1, {"a"})
    assert memory.to_read({"a"}) == {"a", "c"}


@pytest.mark.parametrize("refused", [None, holder(tenant_active=False), holder(subscription_active=False)])
def test_what_grants_nothing_is_known_for_a_minute_only(memory: KeyMemory, time: Time, refused: KeyHolder | None) -> None:
    memory.keep(V1, {"r": refused})
    time.now += REFUSED_SECONDS - 1
    assert memory.recall(V1, {"r"}) == {"r": refused}
    time.now += 1
    assert not memory.recall(V1, {"r"})


def test_guesses_evict_no_valid_key(memory: KeyMemory) -> None:
    memory.keep(V1, {f"guess {number}": None for number in range(100)})
    assert memory.recall(V1, {"a"}) == {"a": holder()}
    assert memory.was_good("a")


def test_a_key_was_good_until_it_is_read_as_refused(memory: KeyMemory) -> None:
    """Whatever has changed meanwhile, and with or without a version."""
    memory.recall(V2, set())
    memory.forget()
    assert (memory.was_good("a"), memory.was_good("b"), memory.was_good("c")) == (True, False, False)
    memory.keep(None, {"a": None})
    assert not memory.was_good("a")


def test_the_keys_that_are_read_again_are_bounded(time: Time) -> None:
    """Those used last."""
    memory = KeyMemory(seconds=SECONDS, size=2 * MAX_READ_AGAIN, monotonic=time)
    hashes = [f"{number:06}" for number in range(MAX_READ_AGAIN + 5)]
    memory.recall(V1, set(hashes))
    memory.keep(V1, dict.fromkeys(hashes, holder()))
    for one in hashes:
        memory.recall(V1, {one})
    memory.recall(V2, set())
    assert memory.to_read(set()) == set(hashes[5:])


def test_nothing_is_kept_where_the_operator_says_so(time: Time) -> None:
    memory = KeyMemory(seconds=0, size=10, monotonic=time)
    memory.recall(V1, {"a"})
    memory.keep(V1, {"a": holder(), "b": None})
    assert not memory.recall(V1, {"a", "b"})
