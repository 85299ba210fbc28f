"""Answers in memory, bounded in number and bytes."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """The state of the tables from which an answer was made. As long as the state is the same, the answer is, too."""

    tables: tuple[datetime | None, ...]
    """When the tables were last changed, the ledger's last: looked up before the answer was read."""
    versions: Hashable
    """A digest of the versions of the days of its range; if the ledger knows none, when the table of costs was last changed."""

    def is_as(self, other: "Seen") -> bool:
        """True if an answer made from `self` is right for `other`: nothing has changed, or a publish has changed other days only (a publish
        also writes the ledger).
        """
        return self == other or (self.versions == other.versions and self.tables[-1] != other.tables[-1])


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept[Value]:
    """A cached answer."""

    value: Value
    seen: Seen
    size: int
    """About how many bytes it takes."""
    until: float
    """Monotonic seconds."""


class AnswerCache[Key: Hashable, Value]:
    """At most `most_entries` answers of `most_bytes` together; the least recently used is evicted first. One answer takes a quarter of the
    bytes at most. After `seconds` it is read again whatever was seen: rows can change without a version, by hand or by an older release.
    """

    def __init__(self, *, most_entries: int, most_bytes: int, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most_entries, self._most_bytes, self._seconds, self._monotonic = most_entries, most_bytes, seconds, monotonic
        self._kept: OrderedDict[Key, Kept[Value]] = OrderedDict()
        self._bytes = 0

    @property
    def bytes_kept(self) -> int:
        """About how many bytes all answers take."""
        return self._bytes

    def get(self, key: Key) -> Kept[Value] | None:
        """The answer that was put, or None."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.until <= self._monotonic():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return kept

    def put(self, key: Key, value: Value, seen: Seen, *, size: int) -> None:
        """Keeps an answer in place of an earlier one of the key."""
        self._insert(key, Kept(value=value, seen=seen, size=size, until=self._monotonic() + self._seconds))

    def confirm(self, key: Key, kept: Kept[Value], seen: Seen) -> None:
        """Records that the answer is still right, because only other days of the tables have changed. Its age stays the same."""
        self._insert(key, Kept(value=kept.value, seen=seen, size=kept.size, until=kept.until))

    def _insert(self, key: Key, kept: Kept[Value]) -> None:
        self._drop(key)
        if kept.size > self._most_bytes // 4:
            return
        self._kept[key] = kept
        self._bytes += kept.size
        while len(self._kept) > self._most_entries or self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        if (gone := self._kept.pop(key, None)) is not None:
            self._bytes -= gone.size
