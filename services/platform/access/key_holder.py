"""The holder of an API key, and who knows holders."""

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
