"""What is known of the digests of all keys, by the version of their table and by time. Pure."""

import pytest

from services.auth.key_digests import KeyDigests
from services.auth.key_memory import REFUSED_SECONDS
from tests.unit.platform.test_waiting import Time

V1, V2 = ("1",), ("2",)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def digests(time: Time) -> KeyDigests:
    """Of at most two keys; `a` and `b` are there, under V1."""
    digests = KeyDigests(seconds=300, most=2, monotonic=time)
    assert digests.wants(V1)
    digests.keep(V1, ["a", "b"], since=time.now)
    return digests


def test_a_key_is_there_or_not_while_the_table_has_not_changed(digests: KeyDigests) -> None:
    assert [digests.has(V1, one) for one in "abc"] == [True, True, False]
    assert not digests.wants(V1)


@pytest.mark.parametrize("version", [V2, None])
def test_of_another_version_nothing_is_known(digests: KeyDigests, version: tuple[str, ...] | None) -> None:
    assert digests.has(version, "a") is None
    assert digests.wants(version) == (version is not None)


def test_it_is_believed_for_a_minute_at_most(digests: KeyDigests, time: Time) -> None:
    """A streamed row may have added a key."""
    time.now += REFUSED_SECONDS - 1
    assert digests.has(V1, "c") is False
    time.now += 1
    assert digests.has(V1, "c") is None
    assert digests.wants(V1)


def test_too_many_are_not_kept_and_not_read_again_and_again(digests: KeyDigests, time: Time) -> None:
    digests.keep(V2, ["a", "b", "c"], since=time.now)
    assert (digests.has(V2, "a"), digests.has(V2, "d")) == (None, None)
    assert not digests.wants(V2)
    time.now += REFUSED_SECONDS
    assert digests.wants(V2)


def test_no_digest_is_kept_where_the_operator_says_so(time: Time) -> None:
    digests = KeyDigests(seconds=0, monotonic=time)
    assert not digests.wants(V1)
    digests.keep(V1, ["a"], since=time.now)
    assert digests.has(V1, "a") is None
