"""How late the event loop runs what is due: all calls of a process share one loop, so what computes for long on it delays them all."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.platform import metrics

INTERVAL_SECONDS = 0.1
"""From one look to the next. A delay is seen to within this."""
WINDOW_SECONDS = 60.0


class LateWindow:
    """The greatest delay of the last WINDOW_SECONDS. Pure; time is passed in."""

    def __init__(self) -> None:
        self._falling = deque[tuple[float, float]]()

    def add(self, late: float, now: float) -> float:
        """Takes a delay that was seen `now` (monotonic seconds), and returns the greatest one."""
        while self._falling and self._falling[-1][1] <= late:
            self._falling.pop()
        self._falling.append((now, late))
        while self._falling[0][0] <= now - WINDOW_SECONDS:
            self._falling.popleft()
        return self._falling[0][1]


@asynccontextmanager
async def watched_event_loop() -> AsyncIterator[None]:
    """While it is open, `convergence_event_loop_lag_seconds` is measured."""
    watching = asyncio.create_task(_watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def _watch() -> None:
    window, time = LateWindow(), asyncio.get_running_loop().time
    while True:
        due = time() + INTERVAL_SECONDS
        await asyncio.sleep(INTERVAL_SECONDS)
        late = max(0.0, time() - due)
        metrics.EVENT_LOOP_LAG.set(late)
        metrics.EVENT_LOOP_LAG_MAX.set(window.add(late, time()))
