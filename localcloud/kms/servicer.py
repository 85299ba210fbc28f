"""The calls of `google.cloud.kms.v1.KeyManagementService` that encryption and signing need, implemented on a `KeyRing` and `SigningKeys`.

Sizes, checksums and error codes are those documented by Cloud KMS; everything else of its API is UNIMPLEMENTED.
"""

from collections.abc import Callable
from typing import Any

import google_crc32c
import grpc
from google.cloud.kms_v1 import types

from localcloud.kms.keyring import BrokenCiphertext, KeyExists, KeyRing, UnknownKey, WrongKey, ring_of
from localcloud.kms.requests import KEY, RING, VERSION, CallRefused, check_size, match_name, refuse, verified
from localcloud.kms.signing import SigningKeys
from localcloud.kms.signing_servicer import SigningCalls
from localcloud.kms.symmetric_versions import SymmetricVersionCalls
from localcloud.kms.version_states import WrongState

SERVICE = "google.cloud.kms.v1.KeyManagementService"


class KmsHandlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc is untyped
    """gRPC handlers over the keys of `keys` and `signing`."""

    def __init__(self, keys: KeyRing, signing: SigningKeys) -> None:
        self._keys, self._signing = keys, signing
        calls, versions = SigningCalls(signing), SymmetricVersionCalls(keys)
        self._signing_calls, self._versions = calls, versions
        self._methods: dict[str, tuple[Any, Any, Callable[[Any], Any]]] = {
            "Encrypt": (types.EncryptRequest, types.EncryptResponse, self._encrypt),
            "Decrypt": (types.DecryptRequest, types.DecryptResponse, self._decrypt),
            "GetCryptoKey": (types.GetCryptoKeyRequest, types.CryptoKey, self._get_key),
            "CreateKeyRing": (types.CreateKeyRingRequest, types.KeyRing, self._create_ring),
            "CreateCryptoKey": (types.CreateCryptoKeyRequest, types.CryptoKey, self._create_key),
            "CreateCryptoKeyVersion": (types.CreateCryptoKeyVersionRequest, types.CryptoKeyVersion, self._create_version),
            "UpdateCryptoKeyPrimaryVersion": (types.UpdateCryptoKeyPrimaryVersionRequest, types.CryptoKey, self._set_primary),
            "AsymmetricSign": (types.AsymmetricSignRequest, types.AsymmetricSignResponse, calls.sign),
            "GetPublicKey": (types.GetPublicKeyRequest, types.PublicKey, calls.public_key),
            "ListCryptoKeyVersions": (
                types.ListCryptoKeyVersionsRequest,
                types.ListCryptoKeyVersionsResponse,
                lambda request: (versions if keys.has(request.parent) else calls).list_versions(request),
            ),
            "GetCryptoKeyVersion": (
                types.GetCryptoKeyVersionRequest,
                types.CryptoKeyVersion,
                lambda request: (versions if self._encrypts(request.name) else calls).get_version(request),
            ),
            "UpdateCryptoKeyVersion": (
                types.UpdateCryptoKeyVersionRequest,
                types.CryptoKeyVersion,
                lambda request: (versions if self._encrypts(request.crypto_key_version.name) else calls).update_version(request),
            ),
            "DestroyCryptoKeyVersion": (types.DestroyCryptoKeyVersionRequest, types.CryptoKeyVersion, versions.destroy),
            "RestoreCryptoKeyVersion": (types.RestoreCryptoKeyVersionRequest, types.CryptoKeyVersion, versions.restore),
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """The handler of a call by its path, `/{service}/{method}`; None where there is none."""
        service, _, method = handler_call_details.method.lstrip("/").partition("/")
        if service != SERVICE or method not in self._methods:
            return None
        request, response, answer = self._methods[method]
        return grpc.unary_unary_rpc_method_handler(_with_status(answer), request.deserialize, response.serialize)

    def _encrypt(self, request: types.EncryptRequest) -> types.EncryptResponse:
        match = match_name(VERSION, request.name)
        check_size("plaintext", request.plaintext)
        check_size("additional_authenticated_data", request.additional_authenticated_data)
        plaintext_verified = verified(request, "plaintext", request.plaintext)
        aad_verified = verified(request, "additional_authenticated_data", request.additional_authenticated_data)
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
        name = match_name(KEY, request.name)[0]
        check_size("additional_authenticated_data", request.additional_authenticated_data)
        verified(request, "ciphertext", request.ciphertext)
        verified(request, "additional_authenticated_data", request.additional_authenticated_data)
        number, plaintext = self._keys.open(name, request.ciphertext, request.additional_authenticated_data)
        return types.DecryptResponse(
            plaintext=plaintext,
            plaintext_crc32c=google_crc32c.value(plaintext),
            used_primary=number == self._keys.get(name).primary,
            protection_level=types.ProtectionLevel.SOFTWARE,
        )

    def _get_key(self, request: types.GetCryptoKeyRequest) -> types.CryptoKey:
        name = match_name(KEY, request.name)[0]
        signing = self._signing_calls.find_key(name)
        return signing or self._versions.to_key(name)

    def _create_ring(self, request: types.CreateKeyRingRequest) -> types.KeyRing:
        name = match_name(RING, f"{request.parent}/keyRings/{request.key_ring_id}")[0]
        self._keys.create_ring(name)
        return types.KeyRing(name=name)

    def _create_key(self, request: types.CreateCryptoKeyRequest) -> types.CryptoKey:
        name = match_name(KEY, f"{request.parent}/cryptoKeys/{request.crypto_key_id}")[0]
        purpose, purposes = request.crypto_key.purpose, types.CryptoKey.CryptoKeyPurpose
        if purpose not in {purposes.ENCRYPT_DECRYPT, purposes.ASYMMETRIC_SIGN}:
            refuse("Only the purposes ENCRYPT_DECRYPT and ASYMMETRIC_SIGN are supported here.")
        if not self._keys.has_ring(ring_of(name)):
            raise UnknownKey(ring_of(name))
        if self._keys.has(name) or self._signing.find(name):
            raise KeyExists(name)
        return (self._versions if purpose == purposes.ENCRYPT_DECRYPT else self._signing_calls).create(name, request)

    def _create_version(self, request: types.CreateCryptoKeyVersionRequest) -> types.CryptoKeyVersion:
        name = match_name(KEY, request.parent)[0]
        if self._signing.find(name):
            return self._signing_calls.add_version(name)
        return self._versions.to_version(name, self._keys.add_version(name))

    def _set_primary(self, request: types.UpdateCryptoKeyPrimaryVersionRequest) -> types.CryptoKey:
        name = match_name(KEY, request.name)[0]
        if not request.crypto_key_version_id.isdecimal():
            refuse("The field crypto_key_version_id must be a number.")
        self._keys.set_primary(name, int(request.crypto_key_version_id))
        return self._versions.to_key(name)

    def _encrypts(self, version: str) -> bool:
        """True for the name of a version of a key that encrypts."""
        return self._keys.has(version.partition("/cryptoKeyVersions/")[0])


def _with_status(answer: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
    """Maps a handler's exceptions to the statuses of Cloud KMS."""

    def handle(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return answer(request)
        except CallRefused as error:
            context.abort(error.code, str(error))
        except UnknownKey as error:
            context.abort(grpc.StatusCode.NOT_FOUND, f"{error} not found.")
        except KeyExists as error:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, f"{error} already exists.")
        except WrongState as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except WrongKey:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Decryption failed: verify that 'name' refers to the correct CryptoKey.")
        except BrokenCiphertext:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Decryption failed: the ciphertext is invalid.")

    return handle
