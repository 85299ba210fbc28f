"""Tenants' notification targets: stored as credentials, decrypted for one try."""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from services.executor.notify.notification import NotificationKind
from services.executor.notify.responses import NotDelivered
from services.executor.sources.credentials import SealedCredentials, decrypt
from services.platform.errors import ConvergenceError, Unavailable
from services.platform.kms.client import Kms


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """A tenant's target."""

    url: str = field(repr=False)
    signing_secret: str | None = field(default=None, repr=False)
    """For WEBHOOK only."""
    set_at: datetime | None = None
    """When it was stored."""


class Destinations(Protocol):
    """Looks up tenants' targets."""

    async def open(self, tenant_id: str, kind: NotificationKind) -> Destination:
        """The tenant's target for SLACK or WEBHOOK. Raises NotDelivered if there is none."""
        ...


class TenantDestinations:
    """Decrypts targets that tenants have stored as credentials."""

    def __init__(self, sealed: SealedCredentials, kms: Kms) -> None:
        self._sealed, self._kms = sealed, kms

    async def open(self, tenant_id: str, kind: NotificationKind) -> Destination:
        """Raises NotDelivered if the tenant has no target, or if it cannot be read now."""
        try:
            found = await self._sealed.get(tenant_id, kind)
            plaintext = await decrypt(self._kms, found, tenant_id, kind)
        except ConvergenceError as error:
            raise NotDelivered(error.reason.lower(), again=isinstance(error, Unavailable), our_error=error) from None
        return replace(read_destination(plaintext), set_at=found.set_at)


def read_destination(plaintext: bytes) -> Destination:
    """Parses what credentials has encrypted: `{webhook_url}` for SLACK, `{url, signing_secret}` for WEBHOOK. Raises NotDelivered
    otherwise.
    """
    try:
        payload: Any = json.loads(plaintext)
        if "webhook_url" in payload:
            return Destination(url=str(payload["webhook_url"]))
        return Destination(url=str(payload["url"]), signing_secret=str(payload["signing_secret"]))
    except (ValueError, KeyError, TypeError):
        raise NotDelivered("target_unreadable", again=False) from None
