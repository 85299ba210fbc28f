"""When the budget of a table that changes is worth an event. Pure; time is passed in."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

EVERY: Final = timedelta(minutes=5)
"""The least time between two events of one table."""


class BudgetWatch:
    """Keeps the busiest ten seconds of each table since its last event."""

    def __init__(self) -> None:
        self._waiting = dict[str, float]()
        self._last = dict[str, datetime]()

    def due(self, busy: Mapping[str, float], now: datetime) -> list[tuple[str, float]]:
        """The tables to report now, with the part of the budget that was used, 0 to 1. `busy`: those that were busy since the last call.
        What is not reported now is kept.
        """
        for table, used in busy.items():
            self._waiting[table] = max(used, self._waiting.get(table, 0.0))
        found = sorted(table for table in self._waiting if table not in self._last or now - self._last[table] >= EVERY)
        self._last |= dict.fromkeys(found, now)
        return [(table, self._waiting.pop(table)) for table in found]
