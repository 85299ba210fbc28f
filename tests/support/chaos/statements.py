"""A BigQuery that knows which process sends which statement, and at which of them something is to happen."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from tests.support.strict_bigquery import Lost, StrictBigQuery
from tests.support.strict_bigquery.request import Request

HALF = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n{"kind": "bigquery#queryResponse", "schema"'
GARBAGE = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n<html>\x00\xff\xfe oops"


class Moment(StrEnum):
    """Where in a statement's life."""

    BEFORE = "before"
    """BigQuery does not get it."""
    AFTER = "after"
    """BigQuery has run it, and its answer is lost."""


@dataclass(kw_only=True)
class Trap:
    """Springs at the next statements of one of these names."""

    names: frozenset[str]
    """Empty: of any name."""
    moment: Moment
    times: int = 1
    said: bytes = b""
    """What the caller gets to hear before the connection ends."""
    act: Callable[[str], object] = lambda _: None
    """What happens then; gets the name of the process that has sent the statement."""
    reached: list[str] = field(default_factory=list)
    """The statements at which it sprang, and their processes: `reserve of auth`."""
    sprung: threading.Event = field(default_factory=threading.Event)
    """It has sprung as often as it shall."""


@dataclass(kw_only=True)
class ChaosBigQuery(StrictBigQuery):
    """BigQuery's rules, with traps."""

    slow: float = 0.0
    """Seconds that each request takes longer."""
    statements: Counter[str] = field(default_factory=Counter)
    """What was sent, by name; `load`, `stream` and `request` are no queries."""
    _traps: list[Trap] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def set_trap(self, trap: Trap) -> None:
        """From now on, until it has sprung or is taken away."""
        with self._guard:
            self._traps.append(trap)

    def take_away(self, trap: Trap) -> None:
        """It springs no more."""
        with self._guard:
            if trap in self._traps:
                self._traps.remove(trap)

    @contextmanager
    def passing(self, request: Request, caller: str) -> Iterator[None]:
        """Counts, slows down, and springs traps."""
        name = _name(request)
        trap = self._trap(name, caller)
        if self.slow:
            time.sleep(self.slow)
        if trap and trap.moment is Moment.BEFORE:
            raise self._spring(trap, caller)
        try:
            yield
        except (OSError, http.client.HTTPException) as gone:
            # The emulator is down: so is BigQuery, for the caller.
            raise Lost from gone
        if trap:
            raise self._spring(trap, caller)

    def _trap(self, name: str, caller: str) -> Trap | None:
        with self._guard:
            self.statements[name] += 1
            trap = next((one for one in self._traps if caller and (not one.names or name in one.names)), None)
            if trap is not None:
                trap.reached.append(f"{name} of {caller}")
                if len(trap.reached) >= trap.times:
                    self._traps.remove(trap)
            return trap

    def _spring(self, trap: Trap, caller: str) -> Lost:
        try:
            trap.act(caller)
        finally:
            if len(trap.reached) >= trap.times:
                trap.sprung.set()
        return Lost(trap.said)


def _name(request: Request) -> str:
    if request.label:
        return request.label
    if request.is_stream:
        return "stream"
    if request.is_new_job and request.loads_into:
        return "load"
    return "request"
