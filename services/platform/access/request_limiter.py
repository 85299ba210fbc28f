"""Applies the limits of requests to calls, and tells callers what is left."""

import time
from collections.abc import Callable

from services.platform.errors import ResourceExhausted
from services.platform.limits.requests import RequestLimits
from services.platform.rpc.calls import Call
from services.platform.settings import ServiceSettings


class RequestLimiter:
    """Counts every call of a tenant or an admin key, whatever its RPC, in this process. Calls between services are not counted."""

    def __init__(self, settings: ServiceSettings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._per_admin_key = settings.admin_requests_per_minute
        self._tenants = RequestLimits(key_share=settings.key_request_share, max_owners=settings.key_cache_size)
        self._admins = RequestLimits(key_share=1.0, max_owners=settings.key_cache_size)

    def tenant(self, call: Call, *, tenant_id: str, key_id: str, per_minute: int) -> None:
        """Counts a call of the tenant; `key_id` is what the caller was identified by. Raises ResourceExhausted beyond the limits."""
        self._ask(call, self._tenants, tenant_id, key_id, per_minute)

    def admin(self, call: Call, *, key_id: str) -> None:
        """Counts a call of an operator; `key_id` is what the caller was identified by. Raises ResourceExhausted beyond the limit."""
        self._ask(call, self._admins, key_id, key_id, self._per_admin_key)

    def _ask(self, call: Call, limits: RequestLimits, owner: str, key: str, per_minute: int) -> None:
        allowance = limits.ask(owner, key, per_minute, self._monotonic())
        call.headers.update(allowance.headers)
        if allowance.wait is not None:
            raise ResourceExhausted(
                "RATE_LIMITED",
                f"More than {allowance.per_minute} calls a minute. Wait as Retry-After says, and spread the calls.",
                metadata={"requests_per_minute": str(allowance.per_minute)},
                retry_after=allowance.wait,
            )
