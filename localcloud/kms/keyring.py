"""The keys of the local KMS: AES-256, with versions, in one file readable only by its owner."""

import base64
import json
import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from localcloud.files import write_private
from localcloud.kms.version_states import VersionState, WrongState

KEY_BYTES, TAG_BYTES, NONCE_BYTES = 32, 8, 12
DESTROY_AFTER: Final = timedelta(days=30)
"""How long a version stays DESTROY_SCHEDULED, unless its key says otherwise: Cloud KMS's default."""


class UnknownKey(Exception):
    """There is no key, or no version of it, with this name."""


class KeyExists(Exception):
    """The name is taken."""


class WrongKey(Exception):
    """The ciphertext was not created by a version of this key."""


class BrokenCiphertext(Exception):
    """The ciphertext or its additional data was changed, or it was created with other additional data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A version of a key. A ciphertext begins with the tag of the version that created it."""

    tag: str
    """8 random bytes, hex."""
    secret: str
    """32 random bytes, base64; empty once it is destroyed."""
    created_at: str
    """ISO 8601, UTC."""
    is_disabled: bool = False
    destroy_at: str | None = None
    """When its secret is erased, ISO 8601, UTC; None: never."""

    def state(self, now: datetime) -> VersionState:
        """At `now`, UTC."""
        if self.destroy_at is not None:
            is_gone = now >= datetime.fromisoformat(self.destroy_at)
            return VersionState.DESTROYED if is_gone else VersionState.DESTROY_SCHEDULED
        return VersionState.DISABLED if self.is_disabled else VersionState.ENABLED

    def __repr__(self) -> str:
        return f"Version(tag={self.tag!r}, created_at={self.created_at!r})"


@dataclass(kw_only=True, slots=True)
class Key:
    """A named key. The primary version encrypts; every enabled version decrypts its own ciphertexts."""

    primary: int
    """Number of the primary version; versions count from 1."""
    versions: list[Version] = field(default_factory=list)
    """Version n at n - 1."""
    destroy_after_seconds: float = DESTROY_AFTER.total_seconds()
    """How long a version of it stays DESTROY_SCHEDULED."""


class KeyRing:
    """All keys of a local KMS. Thread-safe; every change is on disk before the call returns."""

    def __init__(self, path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Reads the file if it exists. `now`: UTC. Raises `ValueError` if it is no key ring."""
        self._path, self.now = path, now
        self._lock = threading.Lock()
        self._rings: set[str] = set()
        self._keys: dict[str, Key] = {}
        if path.exists():
            self._load()

    def create_ring(self, name: str) -> None:
        """Raises `KeyExists`."""
        with self._lock:
            if name in self._rings:
                raise KeyExists(name)
            self._rings.add(name)
            self._save()

    def create_key(self, name: str, *, destroy_after: timedelta = DESTROY_AFTER) -> Key:
        """A key with one version. `name` is `{ring}/cryptoKeys/{id}`. Raises `UnknownKey` without the ring, `KeyExists`."""
        with self._lock:
            if ring_of(name) not in self._rings:
                raise UnknownKey(ring_of(name))
            if name in self._keys:
                raise KeyExists(name)
            key = Key(primary=1, versions=[self._new_version()], destroy_after_seconds=destroy_after.total_seconds())
            self._keys[name] = key
            self._save()
            return key

    def ensure(self, name: str) -> None:
        """Creates the key and its ring unless they exist."""
        with self._lock:
            if name not in self._keys:
                self._rings.add(ring_of(name))
                self._keys[name] = Key(primary=1, versions=[self._new_version()])
                self._save()

    def get(self, name: str) -> Key:
        """Raises `UnknownKey`."""
        try:
            return self._keys[name]
        except KeyError:
            raise UnknownKey(name) from None

    def has(self, name: str) -> bool:
        """True if there is a key of this name."""
        return name in self._keys

    def has_ring(self, name: str) -> bool:
        """True if there is a key ring of this name."""
        return name in self._rings

    def add_version(self, name: str) -> int:
        """The number of a new version, not primary yet. Raises `UnknownKey`."""
        with self._lock:
            key = self.get(name)
            key.versions.append(self._new_version())
            self._save()
            return len(key.versions)

    def set_primary(self, name: str, number: int) -> None:
        """Makes this version the encrypting one. Raises `UnknownKey`, also for a version that does not exist, `WrongState`."""
        with self._lock:
            self._enabled(name, number)
            self.get(name).primary = number
            self._save()

    def version(self, name: str, number: int) -> Version:
        """Raises `UnknownKey`."""
        key = self.get(name)
        if not 1 <= number <= len(key.versions):
            raise UnknownKey(f"{name}/cryptoKeyVersions/{number}")
        return key.versions[number - 1]

    def set_disabled(self, name: str, number: int, *, disabled: bool) -> None:
        """Disables or enables a version, also the primary one. Raises `UnknownKey`; `WrongState` if it is to be destroyed, or was."""
        with self._lock:
            self._require(name, number, {VersionState.ENABLED, VersionState.DISABLED}, "enabled or disabled")
            self._change(name, number, is_disabled=disabled)

    def destroy(self, name: str, number: int) -> None:
        """Schedules the version's destruction; it cannot be used from now on. Raises `UnknownKey`, `WrongState`."""
        with self._lock:
            self._require(name, number, {VersionState.ENABLED, VersionState.DISABLED}, "enabled or disabled")
            destroy_at = self.now() + timedelta(seconds=self.get(name).destroy_after_seconds)
            self._change(name, number, destroy_at=destroy_at.isoformat())

    def restore(self, name: str, number: int) -> None:
        """Cancels a scheduled destruction; then the version is disabled. Raises `UnknownKey`, `WrongState`."""
        with self._lock:
            self._require(name, number, {VersionState.DESTROY_SCHEDULED}, "scheduled for destruction")
            self._change(name, number, is_disabled=True, destroy_at=None)

    def seal(self, name: str, number: int | None, plaintext: bytes, aad: bytes) -> tuple[int, bytes]:
        """Encrypts with the given or the primary version. Returns the version's number and the ciphertext. Raises `UnknownKey`,
        `WrongState`.
        """
        number = number or self.get(name).primary
        version, nonce = self._enabled(name, number), secrets.token_bytes(NONCE_BYTES)
        return number, bytes.fromhex(version.tag) + nonce + _cipher(version).encrypt(nonce, plaintext, aad)

    def open(self, name: str, ciphertext: bytes, aad: bytes) -> tuple[int, bytes]:
        """Returns the number of the version that encrypted, and the plaintext. Raises `UnknownKey`, `WrongKey`, `WrongState`,
        `BrokenCiphertext`.
        """
        tag, nonce, sealed = ciphertext[:TAG_BYTES].hex(), ciphertext[TAG_BYTES:][:NONCE_BYTES], ciphertext[TAG_BYTES + NONCE_BYTES :]
        for number, version in enumerate(self.get(name).versions, start=1):
            if version.tag == tag:
                self._enabled(name, number)
                try:
                    return number, _cipher(version).decrypt(nonce, sealed, aad)
                except (InvalidTag, ValueError):
                    raise BrokenCiphertext from None
        raise WrongKey(name)

    def _enabled(self, name: str, number: int) -> Version:
        return self._require(name, number, {VersionState.ENABLED}, "enabled")

    def _require(self, name: str, number: int, states: set[VersionState], wanted: str) -> Version:
        version = self.version(name, number)
        if (state := version.state(self.now())) not in states:
            raise WrongState(f"{name}/cryptoKeyVersions/{number}", state, wanted)
        return version

    def _change(self, name: str, number: int, **changes: Any) -> None:
        versions = self.get(name).versions
        versions[number - 1] = replace(versions[number - 1], **changes)
        self._save()

    def _new_version(self) -> Version:
        secret = base64.b64encode(os.urandom(KEY_BYTES)).decode()
        return Version(tag=secrets.token_hex(TAG_BYTES), secret=secret, created_at=self.now().isoformat())

    def _load(self) -> None:
        try:
            stored = json.loads(self._path.read_text())
            self._rings = set(stored["rings"])
            for name, key in stored["keys"].items():
                self._keys[name] = Key(**{**key, "versions": [Version(**version) for version in key["versions"]]})
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self._path} is not a key ring: put back a copy, or move it away to start with new keys") from error

    def _save(self) -> None:
        """Also erases the secrets of versions whose destruction is due."""
        for key in self._keys.values():
            key.versions = [replace(one, secret="") if one.state(self.now()) == VersionState.DESTROYED else one for one in key.versions]
        stored = {"rings": sorted(self._rings), "keys": {name: asdict(key) for name, key in self._keys.items()}}
        write_private(self._path, json.dumps(stored, indent=1))


def ring_of(key_name: str) -> str:
    """The key ring's name in a key's."""
    return key_name.partition("/cryptoKeys/")[0]


def _cipher(version: Version) -> AESGCM:
    return AESGCM(base64.b64decode(version.secret))
