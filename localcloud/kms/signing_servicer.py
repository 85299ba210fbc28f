"""The calls of Cloud KMS about signing keys: AsymmetricSign, GetPublicKey, and the states of a key's versions."""

from datetime import UTC, datetime
from typing import Any, Final

import google_crc32c
import grpc
from google.cloud.kms_v1 import types

from localcloud.kms.keyring import UnknownKey
from localcloud.kms.requests import KEY, CallRefused, check_listing, match_name, named_version, refuse, verified
from localcloud.kms.signing import BITS, SigningKey, SigningKeys
from localcloud.kms.version_states import VersionState

_ALGORITHMS: Final[Any] = types.CryptoKeyVersion.CryptoKeyVersionAlgorithm
_STATES: Final[Any] = types.CryptoKeyVersion.CryptoKeyVersionState
_PURPOSE: Final = types.CryptoKey.CryptoKeyPurpose.ASYMMETRIC_SIGN
SHA256_BYTES: Final = 32


class SigningCalls:
    """Handlers over `SigningKeys`. A symmetric key has no public half and signs nothing: it is no key to these calls."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys

    def find_key(self, name: str) -> types.CryptoKey | None:
        """None if no signing key has this name."""
        key = self._keys.find(name)
        return _to_key(name, key) if key else None

    def create(self, name: str, request: types.CreateCryptoKeyRequest) -> types.CryptoKey:
        """An algorithm is required: only keys of purpose ENCRYPT_DECRYPT have a default one."""
        algorithm = _ALGORITHMS(request.crypto_key.version_template.algorithm).name
        if algorithm not in BITS:
            refuse(f"The algorithm {algorithm} does not sign, or is not supported here; use one of {', '.join(BITS)}.")
        return _to_key(name, self._keys.create(name, algorithm, first_version=not request.skip_initial_version_creation))

    def add_version(self, name: str) -> types.CryptoKeyVersion:
        """A key has no primary version: each signature names the version that makes it."""
        return self._to_version(name, self._keys.add_version(name))

    def sign(self, request: types.AsymmetricSignRequest) -> types.AsymmetricSignResponse:
        """Signs a digest. The data itself is not taken here."""
        name, number = named_version(request.name)
        digest = request.digest.sha256
        digest_verified = verified(request, "digest", digest)
        if len(digest) != SHA256_BYTES:
            refuse("The field digest must be a SHA-256 digest of 32 bytes: that is the digest of this key's algorithm.")
        signature = self._keys.sign(name, number, digest)
        return types.AsymmetricSignResponse(
            name=request.name,
            signature=signature,
            signature_crc32c=google_crc32c.value(signature),
            verified_digest_crc32c=digest_verified,
            protection_level=types.ProtectionLevel.SOFTWARE,
        )

    def public_key(self, request: types.GetPublicKeyRequest) -> types.PublicKey:
        """In PEM."""
        name, number = named_version(request.name)
        pem = self._keys.public_key(name, number)
        return types.PublicKey(
            name=request.name,
            pem=pem,
            pem_crc32c=google_crc32c.value(pem.encode()),
            algorithm=_ALGORITHMS[self._require(name).algorithm],
            protection_level=types.ProtectionLevel.SOFTWARE,
        )

    def list_versions(self, request: types.ListCryptoKeyVersionsRequest) -> types.ListCryptoKeyVersionsResponse:
        """By number, in pages. Filters and other orders are refused."""
        name = match_name(KEY, request.parent)[0]
        count = len(self._require(name).versions)
        begin, end = check_listing(request, count)
        return types.ListCryptoKeyVersionsResponse(
            crypto_key_versions=[self._to_version(name, number) for number in range(begin + 1, end + 1)],
            next_page_token=str(end) if end < count else "",
            total_size=count,
        )

    def get_version(self, request: types.GetCryptoKeyVersionRequest) -> types.CryptoKeyVersion:
        """Its state, among other things."""
        return self._to_version(*named_version(request.name))

    def update_version(self, request: types.UpdateCryptoKeyVersionRequest) -> types.CryptoKeyVersion:
        """Enables or disables it."""
        name, number = named_version(request.crypto_key_version.name)
        if list(request.update_mask.paths) != ["state"]:
            refuse("The field update_mask must be state: nothing else of a version can be changed here.")
        if self._keys.version(name, number).state(datetime.now(UTC)) == VersionState.PENDING_GENERATION:
            raise CallRefused(grpc.StatusCode.FAILED_PRECONDITION, f"{request.crypto_key_version.name} is being generated.")
        match request.crypto_key_version.state:
            case _STATES.ENABLED | _STATES.DISABLED as state:
                self._keys.set_disabled(name, number, disabled=state == _STATES.DISABLED)
            case _:
                refuse("The field crypto_key_version.state must be ENABLED or DISABLED.")
        return self._to_version(name, number)

    def _require(self, name: str) -> SigningKey:
        key = self._keys.find(name)
        if key is None:
            raise UnknownKey(name)
        return key

    def _to_version(self, name: str, number: int) -> types.CryptoKeyVersion:
        version = self._keys.version(name, number)
        state = version.state(datetime.now(UTC))
        return types.CryptoKeyVersion(
            name=f"{name}/cryptoKeyVersions/{number}",
            state=_STATES[state],
            protection_level=types.ProtectionLevel.SOFTWARE,
            algorithm=_ALGORITHMS[self._require(name).algorithm],
            create_time=version.created_at,
            generate_time=None if state == VersionState.PENDING_GENERATION else version.generated_at,
        )


def _to_key(name: str, key: SigningKey) -> types.CryptoKey:
    template = types.CryptoKeyVersionTemplate(protection_level=types.ProtectionLevel.SOFTWARE, algorithm=_ALGORITHMS[key.algorithm])
    return types.CryptoKey(name=name, purpose=_PURPOSE, version_template=template)
