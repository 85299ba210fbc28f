"""The signing keys of the local KMS: RSA, with versions, in one file readable only by its owner."""

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key

from localcloud.files import write_private
from localcloud.kms.keyring import KeyExists, UnknownKey
from localcloud.kms.version_states import VersionState, WrongState

BITS: Final[Mapping[str, int]] = {
    "RSA_SIGN_PKCS1_2048_SHA256": 2048,
    "RSA_SIGN_PKCS1_3072_SHA256": 3072,
    "RSA_SIGN_PKCS1_4096_SHA256": 4096,
}
"""The algorithms that are served, and the lengths of their keys."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningVersion:
    """A version of a signing key."""

    private_key: str = field(repr=False)
    """PEM, PKCS#8."""
    created_at: datetime
    generated_at: datetime
    """Until then it is PENDING_GENERATION: Cloud KMS answers before a key is there."""
    is_disabled: bool = False

    def state(self, now: datetime) -> VersionState:
        """At `now`, UTC."""
        if self.is_disabled:
            return VersionState.DISABLED
        return VersionState.PENDING_GENERATION if now < self.generated_at else VersionState.ENABLED

    @property
    def key(self) -> RSAPrivateKey:
        """The key itself."""
        loaded = load_pem_private_key(self.private_key.encode(), password=None)
        if not isinstance(loaded, RSAPrivateKey):
            raise TypeError("a signing key is an RSA key")
        return loaded

    @property
    def public_pem(self) -> str:
        """The public key, SubjectPublicKeyInfo."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@dataclass(kw_only=True, slots=True)
class SigningKey:
    """A named key; each signature names the version that makes it."""

    algorithm: str
    versions: list[SigningVersion] = field(default_factory=list)
    """Version n at n - 1."""


class SigningKeys:
    """All signing keys of a local KMS. Thread-safe; every change is on disk before the call returns."""

    def __init__(self, path: Path, *, generation: timedelta = timedelta()) -> None:
        """Reads the file if it exists; `generation`: how long a new version is PENDING_GENERATION. Raises `ValueError` if the file is none
        of ours.
        """
        self._path, self._generation = path, generation
        self._lock = threading.Lock()
        self._keys: dict[str, SigningKey] = {}
        if path.exists():
            self._load()

    def create(self, name: str, algorithm: str, *, first_version: bool = True) -> SigningKey:
        """A key, with one version unless that is not wanted. Raises `KeyExists`."""
        with self._lock:
            if name in self._keys:
                raise KeyExists(name)
            key = self._keys[name] = SigningKey(algorithm=algorithm)
            if first_version:
                key.versions.append(self._new_version(algorithm))
            self._save()
            return key

    def ensure(self, name: str) -> None:
        """Creates the key unless it exists."""
        if name not in self._keys:
            self.create(name, "RSA_SIGN_PKCS1_2048_SHA256")

    def find(self, name: str) -> SigningKey | None:
        """None if there is none of this name."""
        return self._keys.get(name)

    def version(self, name: str, number: int) -> SigningVersion:
        """Raises `UnknownKey`."""
        key = self._keys.get(name)
        if key is None or not 1 <= number <= len(key.versions):
            raise UnknownKey(f"{name}/cryptoKeyVersions/{number}")
        return key.versions[number - 1]

    def add_version(self, name: str) -> int:
        """The number of a new version. Raises `UnknownKey`."""
        with self._lock:
            key = self._keys.get(name)
            if key is None:
                raise UnknownKey(name)
            key.versions.append(self._new_version(key.algorithm))
            self._save()
            return len(key.versions)

    def set_disabled(self, name: str, number: int, *, disabled: bool) -> None:
        """Disables or enables a version. Raises `UnknownKey`."""
        with self._lock:
            changed = replace(self.version(name, number), is_disabled=disabled)
            self._keys[name].versions[number - 1] = changed
            self._save()

    def sign(self, name: str, number: int, digest: bytes) -> bytes:
        """The PKCS #1 v1.5 signature of a SHA-256 digest. Raises `UnknownKey`, `WrongState`."""
        return self._enabled(name, number).key.sign(digest, PKCS1v15(), Prehashed(SHA256()))

    def public_key(self, name: str, number: int) -> str:
        """PEM. Raises `UnknownKey`, `WrongState`."""
        return self._enabled(name, number).public_pem

    def _enabled(self, name: str, number: int) -> SigningVersion:
        version = self.version(name, number)
        state = version.state(datetime.now(UTC))
        if state != VersionState.ENABLED:
            raise WrongState(f"{name}/cryptoKeyVersions/{number}", state)
        return version

    def _new_version(self, algorithm: str) -> SigningVersion:
        key = generate_private_key(public_exponent=65537, key_size=BITS[algorithm])
        now = datetime.now(UTC)
        return SigningVersion(
            private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            created_at=now,
            generated_at=now + self._generation,
        )

    def _load(self) -> None:
        try:
            for name, key in json.loads(self._path.read_text()).items():
                versions = [_parsed(version) for version in key["versions"]]
                self._keys[name] = SigningKey(algorithm=key["algorithm"], versions=versions)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{self._path} has no signing keys: put back a copy, or move it away to start with new keys") from error

    def _save(self) -> None:
        write_private(self._path, json.dumps({name: asdict(key) for name, key in self._keys.items()}, indent=1, default=datetime.isoformat))


def _parsed(version: Mapping[str, str | bool]) -> SigningVersion:
    return SigningVersion(
        private_key=str(version["private_key"]),
        created_at=datetime.fromisoformat(str(version["created_at"])),
        generated_at=datetime.fromisoformat(str(version["generated_at"])),
        is_disabled=bool(version["is_disabled"]),
    )
