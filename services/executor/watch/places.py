"""A watcher's position in a run's stream: the ids of events. By its last id, a watch that was interrupted continues, here or at another
executor.

An id says how many lines the watcher has, and which lines: by a digest that does not depend on their order. A watch continues after these
lines only if the run's first lines are the same, wherever they are read from. If they differ, because a line was lost with its executor,
everything is sent again: a line may come twice then, but none is left out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Self

from services.executor.led_runs import Line, line_id
from services.executor.watch.events import Event, Status
from services.platform.errors import InvalidArgument

_DIGEST_BYTES = 8
_ID = re.compile(r"(?:(0|[1-9][0-9]{0,5})|end)-([0-9a-f]{16})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Behind an event. As text its `RunEvent.id`, e.g. `3-00c0ffee00c0ffee`, or `end-...`."""

    lines: int | None
    """How many lines there were up to this event; None: it was the run's end."""
    digest: int
    """Of the run and these lines. At the end of the run alone, because it ends only once."""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None if `text` is empty. Raises InvalidArgument if it is not the id of an event."""
        if not text:
            return None
        if (found := _ID.fullmatch(text)) is None:
            raise InvalidArgument("last_event_id", "send the id of the last event that you received, or leave it out to get all.")
        return cls(lines=None if found[1] is None else int(found[1]), digest=int(found[2], 16))

    def __str__(self) -> str:
        """The id."""
        return f"{'end' if self.lines is None else self.lines}-{self.digest:0{2 * _DIGEST_BYTES}x}"


type Placed = tuple[Place | None, Event]
"""An event and the place behind it. A Heartbeat has none."""


@dataclass(kw_only=True, slots=True)
class Sequel:
    """Decides which events of a run a watcher lacks. Given the run's events in order, each method returns those to send now."""

    run: str
    """Its pipeline_logging_id."""
    last: Place | None
    """Behind the last event that the watcher has. None: it has none, or these events have gone past that place."""
    _lines: int = 0
    _digest: int = field(init=False)
    _held: list[Placed] = field(default_factory=list)
    """The watcher has them, if the last one's place is `last`."""

    def __post_init__(self) -> None:
        self._digest = _digest(self.run)
        if self.last and self.last.lines is None and self.last.digest != self._digest:
            self.last = None  # the end of another run

    def begin(self, run: Status) -> Sequence[Placed]:
        """The run's status at first."""
        return self._next(Place(lines=0, digest=self._digest), run)

    def line(self, line: Line) -> Sequence[Placed]:
        """A line."""
        self._lines += 1
        self._digest ^= _digest(line_id(line))
        return self._next(Place(lines=self._lines, digest=self._digest), line)

    def end(self, run: Status) -> Sequence[Placed]:
        """The run when it had ended."""
        return self._next(Place(lines=None, digest=_digest(self.run)), run)

    def _next(self, place: Place, event: Event) -> Sequence[Placed]:
        if self.last is None:
            return [(place, event)]
        self._held.append((place, event))
        if place == self.last:
            lacking = list[Placed]()
        elif place.lines is None or place.lines == self.last.lines:
            lacking = self._held
        else:
            return ()
        self.last, self._held = None, []
        return lacking


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest())
