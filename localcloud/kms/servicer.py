"""The calls of `google.cloud.kms.v1.KeyManagementService` that envelope encryption needs, implemented on a `KeyRing`.

Sizes, checksums and error codes are those documented by Cloud KMS; everything else of its API is UNIMPLEMENTED.
"""

import re
from collections.abc import Callable
from typing import Any, NoReturn

import google_crc32c
import grpc
from google.cloud.kms_v1 import types

from localcloud.kms.keyring import BrokenCiphertext, Key, KeyExists, KeyRing, UnknownKey, WrongKey

SERVICE = "google.cloud.kms.v1.KeyManagementService"
MAX_BYTES = 64 * 1024
_ID = r"[a-zA-Z0-9_-]{1,63}"
_LOCATION = rf"projects/[^/]+/locations/{_ID}"
_RING = rf"{_LOCATION}/keyRings/{_ID}"
_KEY = rf"{_RING}/cryptoKeys/{_ID}"
_VERSION = rf"(?P<key>{_KEY})(?:/cryptoKeyVersions/(?P<number>[1-9]\d*))?"
_ENABLED = types.CryptoKeyVersion.CryptoKeyVersionState.ENABLED
_ALGORITHM = types.CryptoKeyVersion.CryptoKeyVersionAlgorithm.GOOGLE_SYMMETRIC_ENCRYPTION


class _Refused(Exception):
    """Ends the call with a status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class KmsHandlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc is untyped
    """gRPC handlers over the keys of `keys`."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._methods: dict[str, tuple[Any, Any, Callable[[Any], Any]]] = {
            "Encrypt": (types.EncryptRequest, types.EncryptResponse, self._encrypt),
            "Decrypt": (types.DecryptRequest, types.DecryptResponse, self._decrypt),
            "GetCryptoKey": (types.GetCryptoKeyRequest, types.CryptoKey, self._get_key),
            "CreateKeyRing": (types.CreateKeyRingRequest, types.KeyRing, self._create_ring),
            "CreateCryptoKey": (types.CreateCryptoKeyRequest, types.CryptoKey, self._create_key),
            "CreateCryptoKeyVersion": (types.CreateCryptoKeyVersionRequest, types.CryptoKeyVersion, self._create_version),
            "UpdateCryptoKeyPrimaryVersion": (types.UpdateCryptoKeyPrimaryVersionRequest, types.CryptoKey, self._set_primary),
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """The handler of a call by its path, `/{service}/{method}`; None where there is none."""
        service, _, method = handler_call_details.method.lstrip("/").partition("/")
        if service != SERVICE or method not in self._methods:
            return None
        request, response, answer = self._methods[method]
        return grpc.unary_unary_rpc_method_handler(_with_status(answer), request.deserialize, response.serialize)

    def _encrypt(self, request: types.EncryptRequest) -> types.EncryptResponse:
        match = _match(_VERSION, request.name)
        _check_size("plaintext", request.plaintext)
        _check_size("additional_authenticated_data", request.additional_authenticated_data)
        plaintext_verified = _verified(request, "plaintext")
        aad_verified = _verified(request, "additional_authenticated_data")
        number = int(match["number"]) if match["number"] else None
        number, ciphertext = self._keys.seal(match["key"], number, request.plaintext, request.additional_authenticated_data)
        return types.EncryptResponse(
            name=f"{match['key']}/cryptoKeyVersions/{number}",
            ciphertext=ciphertext,
            ciphertext_crc32c=google_crc32c.value(ciphertext),
            verified_plaintext_crc32c=plaintext_verified,
            verified_additional_authenticated_data_crc32c=aad_verified,
            protection_level=types.ProtectionLevel.SOFTWARE,
        )

    def _decrypt(self, request: types.DecryptRequest) -> types.DecryptResponse:
        name = _match(_KEY, request.name)[0]
        _check_size("additional_authenticated_data", request.additional_authenticated_data)
        _verified(request, "ciphertext")
        _verified(request, "additional_authenticated_data")
        number, plaintext = self._keys.open(name, request.ciphertext, request.additional_authenticated_data)
        return types.DecryptResponse(
            plaintext=plaintext,
            plaintext_crc32c=google_crc32c.value(plaintext),
            used_primary=number == self._keys.get(name).primary,
            protection_level=types.ProtectionLevel.SOFTWARE,
        )

    def _get_key(self, request: types.GetCryptoKeyRequest) -> types.CryptoKey:
        name = _match(_KEY, request.name)[0]
        return _key(name, self._keys.get(name))

    def _create_ring(self, request: types.CreateKeyRingRequest) -> types.KeyRing:
        name = _match(_RING, f"{request.parent}/keyRings/{request.key_ring_id}")[0]
        self._keys.create_ring(name)
        return types.KeyRing(name=name)

    def _create_key(self, request: types.CreateCryptoKeyRequest) -> types.CryptoKey:
        name = _match(_KEY, f"{request.parent}/cryptoKeys/{request.crypto_key_id}")[0]
        if request.crypto_key.purpose != types.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT:
            _refuse("Only the purpose ENCRYPT_DECRYPT is supported here.")
        return _key(name, self._keys.create_key(name))

    def _create_version(self, request: types.CreateCryptoKeyVersionRequest) -> types.CryptoKeyVersion:
        name = _match(_KEY, request.parent)[0]
        return _version(name, self._keys.get(name), self._keys.add_version(name))

    def _set_primary(self, request: types.UpdateCryptoKeyPrimaryVersionRequest) -> types.CryptoKey:
        name = _match(_KEY, request.name)[0]
        if not request.crypto_key_version_id.isdecimal():
            _refuse("The field crypto_key_version_id must be a number.")
        self._keys.set_primary(name, int(request.crypto_key_version_id))
        return _key(name, self._keys.get(name))


def _with_status(answer: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
    """Maps a handler's exceptions to the statuses of Cloud KMS."""

    def handle(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return answer(request)
        except _Refused as error:
            context.abort(error.code, str(error))
        except UnknownKey as error:
            context.abort(grpc.StatusCode.NOT_FOUND, f"{error} not found.")
        except KeyExists as error:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, f"{error} already exists.")
        except WrongKey:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Decryption failed: verify that 'name' refers to the correct CryptoKey.")
        except BrokenCiphertext:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Decryption failed: the ciphertext is invalid.")

    return handle


def _match(pattern: str, name: str) -> re.Match[str]:
    if not (match := re.fullmatch(pattern, name)):
        _refuse(f"The request has an invalid resource name: {name!r}.")
    return match


def _check_size(field: str, value: bytes) -> None:
    if len(value) > MAX_BYTES:
        _refuse(f"The field {field} has {len(value)} bytes; at most {MAX_BYTES} are allowed.")


def _verified(request: types.EncryptRequest | types.DecryptRequest, field: str) -> bool:
    """True if the caller sent a checksum of the field. A wrong checksum is refused."""
    checksum = getattr(request, f"{field}_crc32c")
    if checksum is not None and checksum != google_crc32c.value(getattr(request, field)):
        _refuse(f"The checksum in field {field}_crc32c did not match the data in field {field}.")
    return checksum is not None


def _refuse(message: str) -> NoReturn:
    raise _Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def _key(name: str, key: Key) -> types.CryptoKey:
    purpose = types.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT
    template = types.CryptoKeyVersionTemplate(protection_level=types.ProtectionLevel.SOFTWARE, algorithm=_ALGORITHM)
    return types.CryptoKey(name=name, primary=_version(name, key, key.primary), purpose=purpose, version_template=template)


def _version(name: str, key: Key, number: int) -> types.CryptoKeyVersion:
    return types.CryptoKeyVersion(
        name=f"{name}/cryptoKeyVersions/{number}",
        state=_ENABLED,
        protection_level=types.ProtectionLevel.SOFTWARE,
        algorithm=_ALGORITHM,
        create_time=key.versions[number - 1].created_at,
    )
