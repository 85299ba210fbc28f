"""Python imports this before a service's own code: its clock is as many seconds ahead as the file CHAOS_CLOCK says."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.platform import clock

AHEAD = Path(os.environ["CHAOS_CLOCK"])


def _now(self: clock.SystemClock) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=float(AHEAD.read_text() or 0))


clock.SystemClock.now = _now  # type: ignore[method-assign]
