"""Counts the key versions in use, for the operator: two gauges, and a warning before a version that is still needed is disabled."""

from collections.abc import Sequence

import structlog

from services.credentials.reencrypt.store import KeyVersionStore
from services.credentials.reencrypt.survey import KeySurvey, survey_of
from services.platform import metrics

_log = structlog.get_logger()


class KeyVersionWatch:
    """One statement each time; it runs beside the calls, never in one."""

    def __init__(self, store: KeyVersionStore, *, keys: Sequence[str], minimum: int) -> None:
        """`keys`: full names; this installation's first. `minimum`: the number of the oldest version of that one that is wanted; 0: any."""
        self._store, self._keys, self._minimum = store, keys, minimum

    async def look(self) -> KeySurvey:
        """Counts, sets the gauges, and warns. Raises Unavailable."""
        survey = survey_of(await self._store.count(), keys=self._keys, minimum=self._minimum)
        metrics.CREDENTIALS_BELOW_KEY_VERSION.set(survey.below_minimum)
        metrics.CREDENTIALS_OLDEST_KEY_VERSION.set(survey.oldest)
        if survey.below_minimum:
            _log.warning(
                "credentials_below_min_key_version",
                credentials=survey.below_minimum,
                oldest=survey.oldest,
                minimum=self._minimum,
                remedy="run python -m services.credentials.reencrypt before the version, or the key, is disabled",
            )
        return survey

    async def look_quietly(self) -> None:
        """As `look`, for a periodic task."""
        await self.look()
