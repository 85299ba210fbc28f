"""Which versions of the signing key are published, and which one signs, at any time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from services.credentials.issuer.signing_keys import PublishedKey, published_since, signing_key
from services.platform.kms.signer import SigningVersion

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
OVERLAP = HOUR


def version(name: str, generated_at: datetime = NOON) -> SigningVersion:
    return SigningVersion(name=name, generated_at=generated_at)


def observe(known: Sequence[PublishedKey] | None, versions: Sequence[SigningVersion], now: datetime) -> list[PublishedKey]:
    since = published_since(known, versions, now)
    return [PublishedKey(version=one.name, since=since[one.name], jwk={"kid": one.name}) for one in versions]


def signs(published: Sequence[PublishedKey], now: datetime, overlap: timedelta = OVERLAP) -> str | None:
    key = signing_key(published, overlap=overlap, now=now)
    return key.version if key else None


def test_the_only_version_signs_at_once() -> None:
    assert signs(observe(None, [version("1")], NOON), NOON) == "1"


def test_without_a_version_nothing_signs() -> None:
    assert signs([], NOON) is None


def test_a_new_version_signs_when_it_was_published_for_the_overlap() -> None:
    first = observe(None, [version("1", NOON - 100 * HOUR)], NOON)
    both = observe(first, [version("1", NOON - 100 * HOUR), version("2", NOON)], NOON + MINUTE)
    assert [key.version for key in both] == ["1", "2"]
    assert signs(both, NOON + MINUTE) == "1"
    assert signs(both, NOON + HOUR) == "1"
    assert signs(both, NOON + MINUTE + HOUR) == "2"


def test_when_the_old_one_is_disabled_early_the_new_one_signs_at_once() -> None:
    both = observe(observe(None, [version("1")], NOON), [version("1"), version("2", NOON + MINUTE)], NOON + MINUTE)
    assert signs(observe(both, [version("2", NOON + MINUTE)], NOON + 2 * MINUTE), NOON + 2 * MINUTE) == "2"


def test_when_the_new_one_is_disabled_the_old_one_goes_on() -> None:
    old, new = version("1", NOON - 100 * HOUR), version("2", NOON - 50 * HOUR)
    assert signs(observe(None, [old, new], NOON), NOON) == "2"
    assert signs(observe(observe(None, [old, new], NOON), [old], NOON), NOON) == "1"


def test_a_version_that_comes_back_counts_as_new() -> None:
    old, new = version("1", NOON - 100 * HOUR), version("2", NOON - 50 * HOUR)
    without = observe(observe(None, [old, new], NOON), [old], NOON)
    again = observe(without, [old, new], NOON + MINUTE)
    assert signs(again, NOON + HOUR) == "1"
    assert signs(again, NOON + MINUTE + HOUR) == "2"


def test_an_old_version_that_comes_back_does_not_sign_before_a_newer_one() -> None:
    old, new = version("1", NOON - 100 * HOUR), version("2", NOON - 50 * HOUR)
    again = observe(observe(None, [new], NOON), [old, new], NOON + MINUTE)
    assert [signs(again, NOON + hours * HOUR) for hours in (0, 1, 2, 100)] == ["2", "2", "2", "2"]


def test_a_process_that_starts_during_a_rotation_signs_with_the_old_version() -> None:
    versions = [version("1", NOON - 100 * HOUR), version("2", NOON - MINUTE)]
    assert signs(observe(None, versions, NOON), NOON) == "1"
    assert signs(observe(None, versions, NOON), NOON + HOUR) == "2"


def test_of_two_young_versions_the_one_published_first_signs() -> None:
    versions = [version("1", NOON - 2 * MINUTE), version("2", NOON - MINUTE)]
    assert signs(observe(None, versions, NOON), NOON) == "1"


def test_two_processes_that_see_a_version_a_minute_apart_differ_for_that_minute_only() -> None:
    first = observe(None, [version("1", NOON - 100 * HOUR)], NOON)
    versions = [version("1", NOON - 100 * HOUR), version("2", NOON)]
    early, late = observe(first, versions, NOON), observe(first, versions, NOON + MINUTE)
    assert (signs(early, NOON + HOUR), signs(late, NOON + HOUR)) == ("2", "1")
    assert (signs(early, NOON + HOUR + MINUTE), signs(late, NOON + HOUR + MINUTE)) == ("2", "2")
