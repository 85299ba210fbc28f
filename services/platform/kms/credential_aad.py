"""What a tenant's credentials are sealed with: the name that KMS binds into the ciphertext."""


def associated_data(*, tenant_id: str, provider: str, credential_id: str) -> bytes:
    """The additional authenticated data of a credential. A ciphertext that is moved to another tenant, provider or row does not open.

    No part can hold a `|`: tenant ids and providers are checked, credential ids are UUIDs.
    """
    return f"v1|{tenant_id}|{provider}|{credential_id}".encode()
