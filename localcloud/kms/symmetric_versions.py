"""The calls of Cloud KMS about the versions of keys that encrypt: their states, and how these change."""

from datetime import datetime, timedelta
from typing import Any, Final

from google.cloud.kms_v1 import types

from localcloud.kms.keyring import DESTROY_AFTER, KeyRing
from localcloud.kms.requests import KEY, check_listing, match_name, named_version, refuse
from localcloud.kms.version_states import VersionState

_STATES: Final[Any] = types.CryptoKeyVersion.CryptoKeyVersionState
_ALGORITHM: Final = types.CryptoKeyVersion.CryptoKeyVersionAlgorithm.GOOGLE_SYMMETRIC_ENCRYPTION
_PURPOSE: Final = types.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT
LEAST_DESTROY_AFTER: Final = timedelta(hours=24)


class SymmetricVersionCalls:
    """Handlers over a `KeyRing`."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def to_key(self, name: str) -> types.CryptoKey:
        """The key with its primary version."""
        key = self._keys.get(name)
        template = types.CryptoKeyVersionTemplate(protection_level=types.ProtectionLevel.SOFTWARE, algorithm=_ALGORITHM)
        return types.CryptoKey(
            name=name,
            primary=self.to_version(name, key.primary),
            purpose=_PURPOSE,
            version_template=template,
            destroy_scheduled_duration=timedelta(seconds=key.destroy_after_seconds),
        )

    def create(self, name: str, request: types.CreateCryptoKeyRequest) -> types.CryptoKey:
        """With one enabled version."""
        key: Any = request.crypto_key  # its durations are timedeltas, which its types do not say
        destroy_after: timedelta = key.destroy_scheduled_duration or DESTROY_AFTER
        if destroy_after < LEAST_DESTROY_AFTER:
            refuse("The field crypto_key.destroy_scheduled_duration must be at least 24 hours.")
        self._keys.create_key(name, destroy_after=destroy_after)
        return self.to_key(name)

    def list_versions(self, request: types.ListCryptoKeyVersionsRequest) -> types.ListCryptoKeyVersionsResponse:
        """By number, in pages. Filters and other orders are refused."""
        name = match_name(KEY, request.parent)[0]
        count = len(self._keys.get(name).versions)
        begin, end = check_listing(request, count)
        return types.ListCryptoKeyVersionsResponse(
            crypto_key_versions=[self.to_version(name, number) for number in range(begin + 1, end + 1)],
            next_page_token=str(end) if end < count else "",
            total_size=count,
        )

    def get_version(self, request: types.GetCryptoKeyVersionRequest) -> types.CryptoKeyVersion:
        """Its state, among other things."""
        return self.to_version(*named_version(request.name))

    def update_version(self, request: types.UpdateCryptoKeyVersionRequest) -> types.CryptoKeyVersion:
        """Enables or disables it."""
        name, number = named_version(request.crypto_key_version.name)
        if list(request.update_mask.paths) != ["state"]:
            refuse("The field update_mask must be state: nothing else of a version can be changed here.")
        match request.crypto_key_version.state:
            case _STATES.ENABLED | _STATES.DISABLED as state:
                self._keys.set_disabled(name, number, disabled=state == _STATES.DISABLED)
            case _:
                refuse("The field crypto_key_version.state must be ENABLED or DISABLED.")
        return self.to_version(name, number)

    def destroy(self, request: types.DestroyCryptoKeyVersionRequest) -> types.CryptoKeyVersion:
        """Schedules its destruction."""
        name, number = named_version(request.name)
        self._keys.destroy(name, number)
        return self.to_version(name, number)

    def restore(self, request: types.RestoreCryptoKeyVersionRequest) -> types.CryptoKeyVersion:
        """Takes a scheduled destruction back."""
        name, number = named_version(request.name)
        self._keys.restore(name, number)
        return self.to_version(name, number)

    def to_version(self, name: str, number: int) -> types.CryptoKeyVersion:
        """A version."""
        version = self._keys.version(name, number)
        state = version.state(self._keys.now())
        destroy_at = datetime.fromisoformat(version.destroy_at) if version.destroy_at else None
        return types.CryptoKeyVersion(
            name=f"{name}/cryptoKeyVersions/{number}",
            state=_STATES[state],
            protection_level=types.ProtectionLevel.SOFTWARE,
            algorithm=_ALGORITHM,
            create_time=datetime.fromisoformat(version.created_at),
            destroy_time=destroy_at if state == VersionState.DESTROY_SCHEDULED else None,
            destroy_event_time=destroy_at if state == VersionState.DESTROYED else None,
        )
