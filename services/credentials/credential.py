"""What is stored of a tenant's credentials, and how their id is derived."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

_NAMESPACE = uuid.UUID("5c7b6f7e-54a7-5d0c-9a3e-0f3b1a6c2d41")


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """The stored credential without the secret."""

    credential_id: str
    tenant_id: str
    provider: str
    kms_key_version: str | None
    sealed_at: datetime | None
    """When that version encrypted them: when they were set, or re-encrypted since."""
    created_by_user_id: str | None
    created_at: datetime | None
    updated_by_user_id: str | None
    updated_at: datetime | None
    access_status: str | None
    """WORKS, LACKS, REFUSED or OPEN by the last check since they were set; None: not checked yet."""
    access_checked_at: datetime | None
    access_problem: str | None
    """Sentences for the tenant."""
    access_export: str | None
    """The export that could be read when a check last named one."""
    delivery_status: str | None
    """For a target of notifications: the outcome of the last delivery since the target was set, DELIVERED, REFUSED or FAILED; None: none
    yet.
    """
    delivered_at: datetime | None
    delivery_problem: str | None
    token_audience: str | None
    """The audience of the identity tokens that open the tenant's cloud; None: a key is stored."""

    @property
    def access(self) -> str:
        """KEY or FEDERATION."""
        return "KEY" if self.token_audience is None else "FEDERATION"

    def sealed_days(self, now: datetime) -> int:
        """Whole days since they were encrypted."""
        return max(0, (now - self.sealed_at).days) if self.sealed_at else 0

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row; it has one column a field."""
        return cls(**row)


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedCredential:
    """The ciphertext, and what its associated data is made of."""

    credential_id: str
    tenant_id: str
    provider: str
    encrypted_credentials: bytes = field(repr=False)
    kms_key_version: str | None
    set_at: datetime | None = None
    """When they were set; None: they are not stored yet."""
    token_audience: str | None = None
    """As in `Credential`. It is no secret. It is stored with the ciphertext, so that no caller has to choose it."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row; it has one column a field."""
        return cls(**row)


def new_credential_id(*, tenant_id: str, provider: str) -> str:
    """The id of a tenant's first credentials for a provider. It is derived, so that two concurrent first writers write the same row.
    Neither part contains a `|`.
    """
    return str(uuid.uuid5(_NAMESPACE, f"{tenant_id}|{provider}"))
