"""Entries that are not stored yet, in bounded memory. Pure; time is passed in."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.platform.audit.entry import SEVERAL, AuditEntry

MINUTE = timedelta(minutes=1)

type Key = tuple[datetime, str, str, str, str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How much is kept."""

    entries: int = 5_000
    """Entries that wait to be stored. Further calls are counted instead."""
    entries_of_a_chain: int = 1_000
    """The most of these entries of one chain: a tenant cannot take all the room."""
    counts: int = 5_000
    """Counts, of all callers and minutes. Further calls are dropped."""
    counts_of_a_chain: int = 50
    """The most counts of one chain and kind of caller in a minute. Further calls are counted together, only by outcome."""


class PendingEntries:
    """What has been recorded and is not stored yet."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._ready: dict[str, AuditEntry] = {}
        self._counts: dict[Key, AuditEntry] = {}
        self._of_a_chain = Counter[str]()
        self._crowds = Counter[tuple[datetime, str, str]]()

    def __len__(self) -> int:
        return len(self._ready) + len(self._counts)

    def add(self, entry: AuditEntry) -> bool:
        """Keeps an entry of one call; if there is no room, only counts it. False: there is no room for a count either: it is dropped."""
        if len(self._ready) >= self._bounds.entries or self._of_a_chain[entry.chain] >= self._bounds.entries_of_a_chain:
            return self.count(replace(entry, resource=""))
        self._make_ready(entry)
        return True

    def count(self, entry: AuditEntry) -> bool:
        """Counts a call with those of the same minute, caller, RPC and outcome; it keeps the first one's other fields. False: dropped."""
        minute = entry.time.replace(second=0, microsecond=0)
        key = (minute, entry.chain, entry.actor_kind, entry.actor_id, entry.action, entry.outcome)
        if key not in self._counts and self._crowds[key[:3]] >= self._bounds.counts_of_a_chain:
            entry = replace(entry, actor_id="", action=SEVERAL, user_id="", request_id="", client_address="")
            key = (*key[:3], entry.actor_id, entry.action, entry.outcome)
        known = self._counts.get(key)
        if known is None and len(self._counts) >= self._bounds.counts:
            return False
        self._counts[key] = entry if known is None else replace(known, count=known.count + entry.count)
        self._crowds[key[:3]] += known is None
        return True

    def due(self, now: datetime, *, most: int, is_last: bool = False) -> list[AuditEntry]:
        """At most `most` entries to store, in the order of their calls. Counts are due when their minute is over, or if `is_last`. They
        stay here until they are `stored`.
        """
        for key in [key for key in self._counts if is_last or key[0] + MINUTE <= now]:
            if len(self._ready) >= self._bounds.entries:
                break
            self._make_ready(self._counts.pop(key))
            self._crowds.pop(key[:3], None)
        return list(self._ready.values())[:most]

    def stored(self, entries: Collection[AuditEntry]) -> None:
        """Forgets these."""
        for entry in entries:
            if self._ready.pop(entry.entry_id, None) is not None:
                self._of_a_chain[entry.chain] -= 1
                if not self._of_a_chain[entry.chain]:
                    del self._of_a_chain[entry.chain]

    def _make_ready(self, entry: AuditEntry) -> None:
        self._ready[entry.entry_id] = entry
        self._of_a_chain[entry.chain] += 1
