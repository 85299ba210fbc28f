"""Keeps ciphertexts that were read, as long as their table has not changed. Pure but for its clock.

A run reads the credentials before it is admitted, and again when it uses them, so that a tenant who has just corrected them runs with the
new ones. While the table's version is the same, the second reading is answered from here. A version (`TableVersions`) is read after the
question, and before the statement whose result is kept with it.
"""

import time
from collections.abc import Callable, Collection, Iterable

from services.credentials.credential import SealedCredential
from services.platform.bigquery.table_versions import Version
from services.platform.cache import TtlCache

KEPT_SECONDS = 300.0
MAX_KEPT = 1_000
"""A ciphertext is some 3 KiB, and at most 64 KiB."""

type Key = tuple[str, str]
"""Tenant and provider."""


class SealedMemory:
    """Only credentials that exist are kept: whether there are none is always read from the table."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._kept: TtlCache[Key, SealedCredential] = TtlCache(seconds=KEPT_SECONDS, size=MAX_KEPT, monotonic=monotonic)
        self._version: Version | None = None

    def recall(self, version: Version | None, wanted: Collection[Key]) -> dict[Key, SealedCredential]:
        """Those of `wanted` that are known."""
        if version is None:
            return {}
        if version != self._version:
            self.forget()
            self._version = version
        return {key: sealed for key in wanted if (sealed := self._kept.get_cached(key)) is not None}

    def keep(self, version: Version | None, found: Iterable[SealedCredential]) -> None:
        """Keeps what a statement has found; nothing if another version has been seen since."""
        if version is not None and version == self._version:
            for sealed in found:
                self._kept.put((sealed.tenant_id, sealed.provider), sealed)

    def forget(self) -> None:
        """Drops everything, and what statements in flight will have found: this process has changed the table."""
        self._version = None
        self._kept.invalidate_if(lambda _: True)
