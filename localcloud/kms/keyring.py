"""The keys of the local KMS: AES-256, with versions, in one file readable only by its owner."""

import base64
import json
import os
import secrets
import threading
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from localcloud.files import write_private

KEY_BYTES, TAG_BYTES, NONCE_BYTES = 32, 8, 12


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
    """32 random bytes, base64."""
    created_at: str
    """ISO 8601, UTC."""

    def __repr__(self) -> str:
        return f"Version(tag={self.tag!r}, created_at={self.created_at!r})"


@dataclass(kw_only=True, slots=True)
class Key:
    """A named key. The primary version encrypts; every version decrypts its own ciphertexts."""

    primary: int
    """Number of the primary version; versions count from 1."""
    versions: list[Version] = field(default_factory=list)
    """Version n at n - 1."""


class KeyRing:
    """All keys of a local KMS. Thread-safe; every change is on disk before the call returns."""

    def __init__(self, path: Path) -> None:
        """Reads the file if it exists. Raises `ValueError` if it is no key ring."""
        self._path = path
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

    def create_key(self, name: str) -> Key:
        """A key with one version. `name` is `{ring}/cryptoKeys/{id}`. Raises `UnknownKey` without the ring, `KeyExists`."""
        with self._lock:
            if ring_of(name) not in self._rings:
                raise UnknownKey(ring_of(name))
            if name in self._keys:
                raise KeyExists(name)
            key = self._keys[name] = Key(primary=1, versions=[_new_version()])
            self._save()
            return key

    def ensure(self, name: str) -> None:
        """Creates the key and its ring unless they exist."""
        with self._lock:
            if name not in self._keys:
                self._rings.add(ring_of(name))
                self._keys[name] = Key(primary=1, versions=[_new_version()])
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
            key.versions.append(_new_version())
            self._save()
            return len(key.versions)

    def set_primary(self, name: str, number: int) -> None:
        """Makes this version the encrypting one. Raises `UnknownKey`, also for a version that does not exist."""
        with self._lock:
            key = self.get(name)
            if not 1 <= number <= len(key.versions):
                raise UnknownKey(f"{name}/cryptoKeyVersions/{number}")
            key.primary = number
            self._save()

    def seal(self, name: str, number: int | None, plaintext: bytes, aad: bytes) -> tuple[int, bytes]:
        """Encrypts with the given or the primary version. Returns the version's number and the ciphertext. Raises `UnknownKey`."""
        key = self.get(name)
        number = number or key.primary
        if number > len(key.versions):
            raise UnknownKey(f"{name}/cryptoKeyVersions/{number}")
        version, nonce = key.versions[number - 1], secrets.token_bytes(NONCE_BYTES)
        return number, bytes.fromhex(version.tag) + nonce + _cipher(version).encrypt(nonce, plaintext, aad)

    def open(self, name: str, ciphertext: bytes, aad: bytes) -> tuple[int, bytes]:
        """Returns the number of the version that encrypted, and the plaintext. Raises `UnknownKey`, `WrongKey`, `BrokenCiphertext`."""
        tag, nonce, sealed = ciphertext[:TAG_BYTES].hex(), ciphertext[TAG_BYTES:][:NONCE_BYTES], ciphertext[TAG_BYTES + NONCE_BYTES :]
        for number, version in enumerate(self.get(name).versions, start=1):
            if version.tag == tag:
                try:
                    return number, _cipher(version).decrypt(nonce, sealed, aad)
                except (InvalidTag, ValueError):
                    raise BrokenCiphertext from None
        raise WrongKey(name)

    def _load(self) -> None:
        try:
            stored = json.loads(self._path.read_text())
            self._rings = set(stored["rings"])
            for name, key in stored["keys"].items():
                self._keys[name] = Key(primary=key["primary"], versions=[Version(**version) for version in key["versions"]])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self._path} is not a key ring: put back a copy, or move it away to start with new keys") from error

    def _save(self) -> None:
        stored = {"rings": sorted(self._rings), "keys": {name: asdict(key) for name, key in self._keys.items()}}
        write_private(self._path, json.dumps(stored, indent=1))


def ring_of(key_name: str) -> str:
    """The key ring's name in a key's."""
    return key_name.partition("/cryptoKeys/")[0]


def _new_version() -> Version:
    secret = base64.b64encode(os.urandom(KEY_BYTES)).decode()
    return Version(tag=secrets.token_hex(TAG_BYTES), secret=secret, created_at=datetime.now(UTC).isoformat())


def _cipher(version: Version) -> AESGCM:
    return AESGCM(base64.b64decode(version.secret))
