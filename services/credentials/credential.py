"""What is kept of a tenant's credentials, and its id."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

_NAMESPACE = uuid.UUID("5c7b6f7e-54a7-5d0c-9a3e-0f3b1a6c2d41")


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """Everything but the secret."""

    credential_id: str
    tenant_id: str
    provider: str
    kms_key_version: str | None
    created_by_user_id: str | None
    created_at: datetime | None
    updated_by_user_id: str | None
    updated_at: datetime | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """From a row that has one column a field."""
        return cls(**row)


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedCredential:
    """The secret as KMS gave it back, and what its seal names."""

    credential_id: str
    tenant_id: str
    provider: str
    encrypted_credentials: bytes = field(repr=False)
    kms_key_version: str | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """From a row that has one column a field."""
        return cls(**row)


def new_credential_id(*, tenant_id: str, provider: str) -> str:
    """The id of a tenant's first credentials for a provider: always the same, so that two first writers write the same thing twice and
    not two things. `|` stands in neither part.
    """
    return str(uuid.uuid5(_NAMESPACE, f"{tenant_id}|{provider}"))
