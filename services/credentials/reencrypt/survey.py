"""What the key versions in use say: which is the oldest, and what is older than the operator wants. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.platform.kms.versions import is_of_another_key, version_number


@dataclass(frozen=True, kw_only=True, slots=True)
class KeySurvey:
    """The stored credentials by the version that encrypted them."""

    versions: Mapping[str, int]
    """Full name of the version, to how many it encrypted; an empty name: not known."""
    oldest: int
    """The number of the oldest version of the key in use; 0: none is known."""
    below_minimum: int
    """How many an older version than the least wanted encrypted, or one that is not known, or another key's. Without a minimum: the last
    alone.
    """


def survey_of(counts: Mapping[str | None, int], *, key: str, minimum: int) -> KeySurvey:
    """`counts`: as in the table, by version. `key`: the full name of the key in use. `minimum`: the least wanted number; 0: any."""
    numbers = {version: version_number(version, key) for version in counts}
    known = [number for number in numbers.values() if number is not None]
    below = sum(
        count for version, count in counts.items() if is_of_another_key(version, key) or (minimum and (numbers[version] or 0) < minimum)
    )
    return KeySurvey(
        versions={version or "": count for version, count in sorted(counts.items(), key=lambda one: one[0] or "")},
        oldest=min(known, default=0),
        below_minimum=below,
    )
