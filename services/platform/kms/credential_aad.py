"""The associated data of credentials: `v1|tenant|provider|credential_id`, which KMS binds into the ciphertext."""


def associated_data(*, tenant_id: str, provider: str, credential_id: str) -> bytes:
    """The additional authenticated data (AAD) of a credential. A ciphertext moved to another tenant, provider or row cannot be decrypted.

    No part can contain a `|`: tenant ids and providers are checked, credential ids are UUIDs.
    """
    return f"v1|{tenant_id}|{provider}|{credential_id}".encode()
