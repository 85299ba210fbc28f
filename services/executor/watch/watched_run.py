"""A run as its watchers in this process share it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from services.executor.led_runs import Line, LineFeed, line_id
from services.executor.records import RunStatus
from services.executor.watch.events import Heartbeat, Status
from services.executor.watch.places import Placed, Sequel


@dataclass(kw_only=True, slots=True)
class WatchedRun:
    """What its reader has found so far."""

    watchers: int = 0
    first: Status | None = None
    """The run as it began, or when it was first read."""
    last: Status | None = None
    """The run when it had ended."""
    error: Exception | None = None
    """Why the reader gave up."""
    _feed: LineFeed = field(default_factory=LineFeed)
    _known: set[str] = field(default_factory=set)
    _begun: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, run: Status) -> None:
        """Its first event, if it has none yet."""
        self.first = self.first or run
        self._begun.set()

    def add(self, lines: Sequence[Line]) -> None:
        """Lines, of which each is sent once."""
        new = [line for line in lines if not self.knows(line)]
        self._known.update(map(line_id, new))
        if new:
            self._feed.add(new)

    def knows(self, line: Line) -> bool:
        """True if it was added before."""
        return line_id(line) in self._known

    def end(self, run: Status) -> None:
        """Its last event."""
        self.last = run
        self._feed.close()

    def fail(self, error: Exception) -> None:
        """Ends every watch of it with this error."""
        self.error = error
        self._begun.set()
        self._feed.close()

    async def events(self, sequel: Sequel, heartbeat_seconds: float) -> AsyncIterator[Placed]:
        """Those that `sequel` has not had: the run, each line once, and the run again when it has ended; a Heartbeat after so long without
        an event. Raises `error`.
        """
        await self._begun.wait()
        if self.first is not None:
            for placed in sequel.begin(self.first) or _connected(self.first):
                yield placed
        seen = 0
        while True:
            try:
                async with asyncio.timeout(heartbeat_seconds):
                    await self._feed.more(seen)
            except TimeoutError:
                yield None, Heartbeat()
                continue
            while seen < len(self._feed.lines):
                seen += 1
                for placed in sequel.line(self._feed.lines[seen - 1]):
                    yield placed
            if self._feed.is_closed:
                break
        if self.error is not None:
            raise self.error
        assert self.last is not None  # noqa: S101 - a feed is closed by `end` or `fail`
        for placed in sequel.end(self.last):
            yield placed


def _connected(run: Status) -> Sequence[Placed]:
    """An answer at once, for a watcher that continues a watch. None if the run has ended, because there may be nothing more to send."""
    return [(None, Heartbeat())] if run.status == RunStatus.RUNNING else []
