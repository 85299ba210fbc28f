"""What the key versions in use say: which is the oldest, and what is older than the operator wants. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.platform.kms.versions import is_of_another_key, version_number


@dataclass(frozen=True, kw_only=True, slots=True)
class KeySurvey:
    """The stored credentials by the version that encrypted them."""

    versions: Mapping[str, int]
    """Full name of the version, to how many it encrypted; an empty name: not known."""
    oldest: int
    """The number of the oldest version in use of the installation's key; 0: none is known."""
    below_minimum: int
    """How many an older version of it than the least wanted encrypted, or one that is not known, or a key that is not ours. Without a
    minimum: the last alone.
    """


def survey_of(counts: Mapping[str | None, int], *, keys: Sequence[str], minimum: int) -> KeySurvey:
    """`counts`: as in the table, by version. `keys`: full names, the installation's first. `minimum`: the least wanted number of that one;
    0: any.
    """
    numbers = {version: version_number(version, keys[0]) for version in counts}
    elsewhere = {version for version in counts if any(version_number(version, key) is not None for key in keys[1:])}
    known = [number for number in numbers.values() if number is not None]
    below = sum(
        count
        for version, count in counts.items()
        if version not in elsewhere and (is_of_another_key(version, keys[0]) or (minimum and (numbers[version] or 0) < minimum))
    )
    return KeySurvey(
        versions={version or "": count for version, count in sorted(counts.items(), key=lambda one: one[0] or "")},
        oldest=min(known, default=0),
        below_minimum=below,
    )
