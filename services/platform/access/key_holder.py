"""The holder of an API key, and who knows holders."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.platform.plan import DEFAULT_PLAN, PlanLimits

UNKNOWN_KEY = "This API key is not known, or it was revoked or has expired. Ask for a new one."


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyHolder:
    """The holder of an API key that is active and not expired."""

    tenant_id: str
    api_key_id: str
    scopes: tuple[str, ...]
    tenant_active: bool
    subscription_active: bool
    expires_at: datetime | None = None
    """When the key expires; None: never."""
    limits: PlanLimits = DEFAULT_PLAN


class Authenticator(Protocol):
    """Auth itself, or its client."""

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        """The holder of the key with this SHA-256. Raises Unauthenticated if the key is unknown, revoked or expired."""
        ...


class WatchedAuthenticator(Authenticator, Protocol):
    """An authenticator that also reports changes, so that cached answers can be invalidated."""

    def changes(self) -> AsyncIterator[str]:
        """Tenants whose keys or status have changed, as they change. An empty string: changes may have been missed, invalidate every
        tenant.
        """
        ...
