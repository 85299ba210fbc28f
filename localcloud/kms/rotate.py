"""`python -m localcloud.kms rotate [KEY]`: a new primary version of a key of the local KMS, by calls of Cloud KMS's API."""

from typing import Any

import grpc
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport


def rotate(address: str, key: str) -> str:
    """The name of the version that encrypts from now on, or of the new version of a key that signs, which has no primary one.

    `address`: `host:port` of a running KMS; `key`: the full name of a key. Raises `google.api_core.exceptions.GoogleAPICallError`.
    """
    with grpc.insecure_channel(address) as channel:
        transport: Any = KeyManagementServiceGrpcTransport(channel=channel)
        client = kms_v1.KeyManagementServiceClient(transport=transport)
        version = client.create_crypto_key_version(parent=key, crypto_key_version=kms_v1.CryptoKeyVersion())
        name: str = version.name
        if client.get_crypto_key(name=key).purpose == kms_v1.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT:
            client.update_crypto_key_primary_version(name=key, crypto_key_version_id=name.rpartition("/")[2])
        return name
