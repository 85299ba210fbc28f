"""The blobs of the local Azure: an index in SQLite, and files with the contents. A blob that is being read stays the same."""

import hashlib
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS containers (account TEXT, name TEXT, etag TEXT, modified TEXT, PRIMARY KEY (account, name));
CREATE TABLE IF NOT EXISTS blobs (
  account TEXT, container TEXT, name TEXT, etag TEXT, created TEXT, modified TEXT, size INTEGER, type TEXT, encoding TEXT, file TEXT,
  PRIMARY KEY (account, container, name)
);
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlobKey:
    """The name of a blob."""

    account: str
    container: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredContainer:
    """A container."""

    etag: str
    modified: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredBlob:
    """A version of a blob; there is only the newest."""

    name: str
    etag: str
    """Without quotes."""
    created: datetime
    modified: datetime
    """To the second, as HTTP has it."""
    size: int
    type: str
    """Content-Type."""
    encoding: str
    """Content-Encoding; empty: none."""
    file: Path


class BlobStore:
    """All containers of all accounts. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._lock = threading.Lock()
        self._index = sqlite3.connect(folder / "index.sqlite", check_same_thread=False, autocommit=True)
        self._index.executescript(_SCHEMA)

    def create_container(self, account: str, name: str) -> StoredContainer | None:
        """None if it exists."""
        made = StoredContainer(etag=_new_etag(), modified=_now())
        with self._lock:
            if self._container(account, name):
                return None
            self._index.execute("INSERT INTO containers VALUES (?, ?, ?, ?)", (account, name, made.etag, made.modified.isoformat()))
        return made

    def container(self, account: str, name: str) -> StoredContainer | None:
        """None if there is none."""
        with self._lock:
            return self._container(account, name)

    def get(self, key: BlobKey) -> StoredBlob | None:
        """None if there is none."""
        with self._lock:
            return self._get(key)

    def open(self, key: BlobKey) -> tuple[StoredBlob, IO[bytes]] | None:
        """A blob and its contents, which stay the same if it is replaced meanwhile."""
        with self._lock:
            blob = self._get(key)
            return None if blob is None else (blob, blob.file.open("rb"))

    def put(
        self, key: BlobKey, content: bytes, *, type_: str, encoding: str, if_match: str | None = None, is_new: bool = False
    ) -> StoredBlob | None:
        """Replaces it; None if it is not of the version `if_match`, or if there is one though it should be new."""
        etag = _new_etag()
        file = self._folder / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}-{etag}"
        file.write_bytes(content)
        with self._lock:
            before, now = self._get(key), _now()
            if (is_new and before) or (if_match is not None and (before is None or before.etag != if_match)):
                file.unlink()
                return None
            values = (*_columns(key), etag, (before.created if before else now).isoformat(), now.isoformat())
            self._index.execute(
                "INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values, len(content), type_, encoding, file.name)
            )
            if before:
                before.file.unlink(missing_ok=True)
            return self._get(key)

    def delete(self, key: BlobKey) -> bool:
        """False if there is none."""
        with self._lock:
            blob = self._get(key)
            if blob is None:
                return False
            self._index.execute("DELETE FROM blobs WHERE account = ? AND container = ? AND name = ?", _columns(key))
            blob.file.unlink(missing_ok=True)
            return True

    def list(self, account: str, container: str, *, prefix: str, after: str) -> Iterator[StoredBlob]:
        """In the order of their names, those after `after`."""
        with self._lock:
            rows = self._index.execute(
                "SELECT * FROM blobs WHERE account = ? AND container = ? AND name > ? AND substr(name, 1, length(?)) = ? ORDER BY name",
                (account, container, after, prefix, prefix),
            ).fetchall()
        return (self._blob(row) for row in rows)

    def close(self) -> None:
        """Closes the index."""
        self._index.close()

    def _container(self, account: str, name: str) -> StoredContainer | None:
        row = self._index.execute("SELECT etag, modified FROM containers WHERE account = ? AND name = ?", (account, name)).fetchone()
        return StoredContainer(etag=row[0], modified=datetime.fromisoformat(row[1])) if row else None

    def _get(self, key: BlobKey) -> StoredBlob | None:
        row = self._index.execute("SELECT * FROM blobs WHERE account = ? AND container = ? AND name = ?", _columns(key)).fetchone()
        return self._blob(row) if row else None

    def _blob(self, row: tuple[str, str, str, str, str, str, int, str, str, str]) -> StoredBlob:
        _, _, name, etag, created, modified, size, type_, encoding, file = row
        return StoredBlob(
            name=name,
            etag=etag,
            created=datetime.fromisoformat(created),
            modified=datetime.fromisoformat(modified),
            size=size,
            type=type_,
            encoding=encoding,
            file=self._folder / file,
        )


def _columns(key: BlobKey) -> tuple[str, str, str]:
    return key.account, key.container, key.name


def _new_etag() -> str:
    return f"0x8D{secrets.token_hex(7)[:13].upper()}"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
