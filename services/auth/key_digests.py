"""The digests of all active keys, so that a guessed key costs no statement. Pure but for its clock."""

import time
from collections.abc import Callable, Collection

from services.auth.key_memory import REFUSED_SECONDS
from services.platform.bigquery.table_versions import Version

MAX_DIGESTS = 100_000
"""If there are more keys than this (some 12 MB), no digest is held, and each stranger is looked up, see `authenticator`."""


class KeyDigests:
    """The result of one statement about `tenant_api_keys`. It is used while the table's version is the same, but for `seconds` at most:
    rows that were streamed into the table can add a key before the version shows it.
    """

    def __init__(self, *, seconds: float, most: int = MAX_DIGESTS, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`seconds`: 0 means that nothing is kept; more than REFUSED_SECONDS means these. `most`: how many digests are held."""
        self._seconds, self._most, self._monotonic = min(seconds, REFUSED_SECONDS), most, monotonic
        self._digests: frozenset[str] | None = None
        self._version: Version | None = None
        self._until = 0.0

    @property
    def most(self) -> int:
        """How many are held."""
        return self._most

    def has(self, version: Version | None, digest: str) -> bool | None:
        """Whether an active key has this digest; None: not known. `version` was read after the question was asked."""
        return digest in self._digests if self._digests is not None and self._is_of(version) else None

    def wants(self, version: Version | None) -> bool:
        """True if a reading under this version would give the digests, or may show that there are no longer too many."""
        return version is not None and self._seconds > 0 and not self._is_of(version)

    def keep(self, version: Version, digests: Collection[str], *, since: float) -> None:
        """Keeps the result of a statement; of too many keys, only the fact that they are too many. `version` was read before the statement,
        and `since` (monotonic seconds) is when it was sent.
        """
        self._version, self._until = version, since + self._seconds
        self._digests = frozenset(digests) if len(digests) <= self._most else None

    def _is_of(self, version: Version | None) -> bool:
        return version is not None and version == self._version and self._monotonic() < self._until
