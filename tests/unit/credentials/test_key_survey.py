"""What the versions in use say of the key."""

from collections.abc import Mapping

import pytest
from structlog.testing import capture_logs

from services.credentials.reencrypt.survey import survey_of
from services.credentials.reencrypt.watch import KeyVersionWatch
from services.platform import metrics

KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
V1, V2, V10 = (f"{KEY}/cryptoKeyVersions/{number}" for number in (1, 2, 10))
OTHER = f"{KEY}-before/cryptoKeyVersions/3"


@pytest.mark.parametrize(
    ("counts", "minimum", "oldest", "below"),
    [
        ({}, 0, 0, 0),
        ({}, 5, 0, 0),
        ({V1: 3, V10: 4}, 0, 1, 0),
        ({V2: 3, V10: 4}, 2, 2, 0),
        ({V1: 1, V2: 3, V10: 4}, 10, 1, 4),
        ({None: 2, V10: 4}, 0, 10, 0),
        ({None: 2, V10: 4}, 1, 10, 2),
        ({OTHER: 5, V10: 4}, 0, 10, 5),
        ({OTHER: 5}, 1, 0, 5),
    ],
)
def test_what_is_older_than_wanted_is_counted(counts: Mapping[str | None, int], minimum: int, oldest: int, below: int) -> None:
    """A version that is not known is older than any; another key's is wanted in no case: it opens nothing here."""
    survey = survey_of(counts, keys=(KEY,), minimum=minimum)
    assert (survey.oldest, survey.below_minimum) == (oldest, below)
    assert sum(survey.versions.values()) == sum(counts.values())


class Counted:
    """The table, as its statement has it."""

    def __init__(self, counts: dict[str | None, int]) -> None:
        self.counts = counts

    async def count(self) -> dict[str | None, int]:
        return self.counts


async def test_the_operator_is_warned_and_the_gauges_follow() -> None:
    table = Counted({V1: 2, V10: 1})
    watch = KeyVersionWatch(table, keys=(KEY,), minimum=10)  # type: ignore[arg-type]
    with capture_logs() as logs:
        await watch.look_quietly()
    assert [(line["event"], line["credentials"], line["oldest"]) for line in logs] == [("credentials_below_min_key_version", 2, 1)]
    assert gauges() == (2, 1)

    table.counts = {V10: 3}
    with capture_logs() as logs:
        await watch.look()
    assert (logs, gauges()) == ([], (0, 10))


def gauges() -> tuple[float, float]:
    below, oldest = (
        next(iter(gauge.collect())).samples[0].value
        for gauge in (metrics.CREDENTIALS_BELOW_KEY_VERSION, metrics.CREDENTIALS_OLDEST_KEY_VERSION)
    )
    return below, oldest
