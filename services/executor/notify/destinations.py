"""Tenants' targets: credentials like the clouds', opened for one try."""

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.executor.notify.notification import NotificationKind
from services.executor.notify.responses import NotDelivered
from services.executor.sources.credentials import SealedCredentials, open_credentials
from services.platform.errors import ConvergenceError, Unavailable
from services.platform.kms.client import Kms


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """Where a tenant wants to hear of its runs."""

    url: str = field(repr=False)
    signing_secret: str | None = field(default=None, repr=False)
    """WEBHOOK only."""


class Destinations(Protocol):
    """Knows tenants' targets."""

    async def open(self, tenant_id: str, kind: NotificationKind) -> Destination:
        """The tenant's target for SLACK or WEBHOOK. Raises NotDelivered."""
        ...


class TenantDestinations:
    """Opens them; see Targets."""

    def __init__(self, sealed: SealedCredentials, kms: Kms) -> None:
        self._sealed, self._kms = sealed, kms

    async def open(self, tenant_id: str, kind: NotificationKind) -> Destination:
        """See Targets."""
        try:
            return read_destination(await open_credentials(self._sealed, self._kms, tenant_id, kind))
        except ConvergenceError as error:
            raise NotDelivered(error.reason.lower(), again=isinstance(error, Unavailable)) from None


def read_destination(plaintext: bytes) -> Destination:
    """What credentials seals: `{webhook_url}` for SLACK, `{url, signing_secret}` for WEBHOOK. Raises NotDelivered for anything else."""
    try:
        payload: Any = json.loads(plaintext)
        if "webhook_url" in payload:
            return Destination(url=str(payload["webhook_url"]))
        return Destination(url=str(payload["url"]), signing_secret=str(payload["signing_secret"]))
    except (ValueError, KeyError, TypeError):
        raise NotDelivered("target_unreadable", again=False) from None
