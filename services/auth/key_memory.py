"""What auth's tables said about API keys, kept for as long as the tables have not changed. Pure but for its clock.

How a revoked key dies within 5 seconds, by whatever process and in whatever way it is revoked
    1. Another service uses an answer for at most `key_cache_seconds` (3) after it asked for it (`access.control`).
    2. Auth keeps the answer of a statement with the tables' version that was read before the statement. It answers from this memory only if
       the version, read again after the question, is the same. So nothing was committed in between, and the answer is true at the time of
       the question. Every change of the tables changes the version: by any process, by the subscription system, or by hand.
    3. An auth process that changes a key forgets its memory at once, and pushes the change to the services that are subscribed to it. This
       makes step 1 faster, and nothing depends on it.
    4. If the version cannot be read, the memory is not used. After a restart it is empty.
    5. A key's own end is compared with the clock whenever it is used.
`seconds` is the bound should the version ever be wrong. A refusal (an unknown key, a tenant that is not active) is kept for REFUSED_SECONDS
only: rows that were streamed into the tables can grant access before the version shows them.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping

from services.platform.access.key_holder import KeyHolder
from services.platform.bigquery.table_versions import Version
from services.platform.cache import RecentSet, TtlCache

REFUSED_SECONDS = 60.0
MAX_READ_AGAIN = 1_000
"""Keys that one statement reads beside those asked for; a hash is 64 bytes, and BigQuery bounds the size of a request."""


class KeyMemory:
    """Bounded in size; refusals are kept apart, so that guessed keys evict no valid ones."""

    def __init__(self, *, seconds: float, size: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`seconds`: lifetime of the whole memory; 0: nothing is kept. `size`: number of keys, and of refusals."""
        self._seconds, self._monotonic = seconds, monotonic
        self._granted: TtlCache[str, KeyHolder] = TtlCache(seconds=seconds, size=size, monotonic=monotonic)
        self._refused: TtlCache[str, tuple[KeyHolder | None]] = TtlCache(
            seconds=min(seconds, REFUSED_SECONDS), size=size, monotonic=monotonic
        )
        self._version: Version | None = None
        self._since = 0.0
        self._in_use = RecentSet[str](MAX_READ_AGAIN)
        self._to_read_again = set[str]()
        self._good = RecentSet[str](size)

    @property
    def version(self) -> Version | None:
        """The version of what is kept; None: nothing is."""
        return self._version

    def recall(self, version: Version | None, hashes: Iterable[str]) -> Mapping[str, KeyHolder | None]:
        """What is known about `hashes`. None means that no key has this hash. Nothing is known about a hash that is missing from the
        result. `version` was read after the question was asked.
        """
        if version is None:
            return {}
        if version != self._version or self._monotonic() - self._since >= self._seconds:
            self._to_read_again |= set(self._in_use)
            self.forget()
            self._in_use.clear()
            self._version, self._since = version, self._monotonic()
        return {one: known[0] for one in hashes if (known := self._known(one)) is not None}

    def was_good(self, hashed: str) -> bool:
        """True if this hash granted something when it was last read, however long ago."""
        return hashed in self._good

    def to_read(self, hashes: Collection[str]) -> set[str]:
        """What to read if `hashes` must be read: these and, once, the hashes that were in use when the memory was dropped, so that one
        statement reads them all.
        """
        again, self._to_read_again = self._to_read_again, set()
        return again | set(hashes)

    def keep(self, version: Version | None, holders: Mapping[str, KeyHolder | None]) -> None:
        """Keeps what a statement has found. `version` was read before it; nothing is kept if another one has been seen since."""
        for one, holder in holders.items():
            if holder is not None and holder.tenant_active and holder.subscription_active:
                self._good.add(one)
            else:
                self._good.discard(one)
        if version is None or version != self._version:
            return
        for one, holder in holders.items():
            if one in self._good and holder is not None:
                # Not longer than the memory itself, however late it was read.
                self._granted.put(one, holder, since=self._since)
            else:
                self._refused.put(one, (holder,))

    def forget(self) -> None:
        """Drops everything, and what statements in flight will have found."""
        self._version = None
        self._granted.invalidate_if(lambda _: True)
        self._refused.invalidate_if(lambda _: True)

    def _known(self, hashed: str) -> tuple[KeyHolder | None] | None:
        if (holder := self._granted.get_cached(hashed)) is not None:
            self._in_use.add(hashed)
            return (holder,)
        return self._refused.get_cached(hashed)
