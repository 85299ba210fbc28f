"""Authenticates the caller and applies the access rule of the proto, before anything else in the request is read."""

import hmac
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog
from convergence.access.v1 import access_pb2

from services.platform.access.api_keys import hash_key, is_mistyped
from services.platform.access.caller import Caller, check_user_id, set_caller
from services.platform.access.scopes import may
from services.platform.access.throttle import FailureThrottle
from services.platform.cache import TtlCache
from services.platform.clock import Clock, SystemClock
from services.platform.errors import PermissionDenied, ResourceExhausted, Unauthenticated
from services.platform.plan import DEFAULT_PLAN, PlanLimits
from services.platform.rpc.calls import Call
from services.platform.rpc.rules import rule_of
from services.platform.settings import AdminKey, ServiceSettings

UNKNOWN_KEY = "This API key is not known, or it was revoked or has expired. Ask for a new one."
SAN_SUFFIX = ".convergence.internal"


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


class AccessControl:
    """The interceptor that authenticates the caller. Caches the holder of a key for `key_cache_seconds`, at most 5 seconds and not beyond
    the key's expiry. Unknown keys are cached as long in a cache of their own, so that guessed keys cannot evict valid ones.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        authenticator: Authenticator,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._unknown: TtlCache[str, bool] = TtlCache(seconds=settings.key_cache_seconds, size=settings.key_cache_size, monotonic=monotonic)
        self._admin_keys = settings.admin_keys
        self._authenticator = authenticator
        self._monotonic = monotonic
        self._holders: TtlCache[str, KeyHolder] = TtlCache(
            seconds=settings.key_cache_seconds, size=settings.key_cache_size, monotonic=monotonic
        )
        self._throttle = FailureThrottle(per_minute=settings.failed_attempts_per_minute)

    @asynccontextmanager
    async def __call__(self, call: Call) -> AsyncIterator[None]:
        """Sets the current caller. Raises Unauthenticated, PermissionDenied, or ResourceExhausted after too many refused keys."""
        rule = rule_of(call.method) if call.method is not None else None
        kind = rule.WhichOneof("caller") if rule is not None else None
        if rule is None or kind is None:
            raise PermissionDenied("CALLER_DENIED", f"{call.path} has no access rule in its proto, so every call is refused.")
        if kind == "anyone":
            caller = Caller()
        elif kind == "service":
            caller = _service_caller(call, rule)
        elif kind == "admin":
            caller = self._admin_caller(call, rule)
        else:
            caller = await self._tenant_caller(call, rule)
        structlog.contextvars.bind_contextvars(tenant_id=caller.tenant_id or getattr(call.request, "tenant_id", None) or None)
        set_caller(caller)
        yield

    def forget(self, tenant_id: str) -> None:
        """Invalidates cached keys of the tenant; of all tenants if `tenant_id` is empty."""
        self._holders.invalidate_if(lambda holder: tenant_id in {"", holder.tenant_id})

    def _admin_caller(self, call: Call, rule: access_pb2.Allow) -> Caller:
        key = call.metadata.get("x-admin-key", "")
        if not key:
            raise Unauthenticated("ADMIN_KEY_MISSING", f"Send an admin key of role {rule.admin.role} in X-Admin-Key.")
        roles = _roles_of(hash_key(key), self._admin_keys)
        if not roles:
            # Counted only now: bad API keys sent from Cloud Scheduler's address must not block its jobs.
            address = client_address(call)
            self._refuse_if_throttled(address)
            self._throttle.failed(address, self._monotonic())
            raise Unauthenticated("ADMIN_KEY_INVALID", "This admin key is not known. Send one that the service is configured with.")
        set_caller(Caller(admin_role=min(roles), admin_key=fingerprint(hash_key(key))))
        if rule.admin.role not in roles:
            raise PermissionDenied("ADMIN_ROLE_DENIED", f"This call needs an admin key of role {rule.admin.role}.")
        user_id = check_user_id(call.metadata.get("x-user-id", ""))
        return Caller(admin_role=rule.admin.role, admin_key=fingerprint(hash_key(key)), user_id=user_id)

    async def _tenant_caller(self, call: Call, rule: access_pb2.Allow) -> Caller:
        key = call.metadata.get("x-api-key", "")
        if not key:
            raise Unauthenticated("API_KEY_MISSING", "Send the tenant's API key in X-API-Key.")
        holder = await self._holder(key, client_address(call))
        set_caller(Caller(tenant_id=holder.tenant_id, api_key_id=holder.api_key_id))
        asked = getattr(call.request, "tenant_id", holder.tenant_id)
        if asked != holder.tenant_id:
            raise PermissionDenied(
                "TENANT_MISMATCH", "This API key belongs to another tenant. Use the tenant_id that the key was issued for."
            )
        if not holder.tenant_active and not rule.tenant.even_if_suspended:
            raise PermissionDenied("TENANT_NOT_ACTIVE", "This tenant is not ACTIVE. Ask the operator of this service to activate it.")
        if not holder.subscription_active and not rule.tenant.even_if_suspended:
            raise PermissionDenied("SUBSCRIPTION_NOT_ACTIVE", "This tenant has no ACTIVE subscription. Renew it and try again.")
        if not may(rule.tenant.scope, holder.scopes):
            needed = f"This call needs an API key with scope {rule.tenant.scope}"
            raise PermissionDenied("SCOPE_MISSING", f"{needed}; this one was issued without it. Ask for a key that has it.")
        user_id = check_user_id(call.metadata.get("x-user-id", ""))
        return Caller(tenant_id=holder.tenant_id, api_key_id=holder.api_key_id, scopes=holder.scopes, limits=holder.limits, user_id=user_id)

    async def _holder(self, key: str, address: str) -> KeyHolder:
        hashed = hash_key(key)
        # A key that was accepted just now is not throttled because of failures of another client behind the same address.
        if (known := self._holders.get_cached(hashed)) is not None and not self._has_expired(known):
            return known
        self._refuse_if_throttled(address)
        try:
            if is_mistyped(key):
                raise Unauthenticated("API_KEY_INVALID", "This API key is mistyped: its check digits do not match. Copy it again.")
            if self._unknown.get_cached(hashed) or known is not None:
                raise Unauthenticated("API_KEY_INVALID", UNKNOWN_KEY)
            return await self._holders.get(hashed, self._ask)
        except Unauthenticated:
            self._throttle.failed(address, self._monotonic())
            raise

    async def _ask(self, hashed: str) -> KeyHolder:
        try:
            return await self._authenticator.authenticate(hashed)
        except Unauthenticated:
            # Only auth's own answer is cached. Caching a cached refusal again would renew it for ever while the client keeps trying.
            self._unknown.put(hashed, value=True)
            raise

    def _has_expired(self, holder: KeyHolder) -> bool:
        return holder.expires_at is not None and holder.expires_at <= self._clock.now()

    def _refuse_if_throttled(self, address: str) -> None:
        wait = self._throttle.wait(address, self._monotonic())
        if wait is not None:
            raise ResourceExhausted(
                "TOO_MANY_FAILED_ATTEMPTS", "Too many refused keys from this address. Check the key and wait.", retry_after=wait
            )


def fingerprint(hashed: str) -> str:
    """Which admin key it is, for the audit log: enough to find it among the configured ones."""
    return hashed[:8]


def _roles_of(hashed: str, keys: tuple[AdminKey, ...]) -> set[str]:
    # Every key is compared, each in constant time: the time taken reveals nothing.
    return {key.role for key in keys if hmac.compare_digest(key.sha256, hashed)}


def _service_caller(call: Call, rule: access_pb2.Allow) -> Caller:
    name = peer_name(call)
    set_caller(Caller(service=name))
    if name not in rule.service.names:
        allowed = " and ".join(rule.service.names)
        raise PermissionDenied("CALLER_DENIED", f"{call.path} is for {allowed} only, by their certificates.")
    return Caller(service=name)


def peer_name(call: Call) -> str | None:
    """The service name in the peer's certificate, e.g. `executor` for `executor.convergence.internal`; None without such a certificate."""
    for value in call.context.auth_context().get("x509_subject_alternative_name", ()):
        name: str = value.decode() if isinstance(value, bytes) else value
        if name.endswith(SAN_SUFFIX):
            return name.removesuffix(SAN_SUFFIX)
    return None


def client_address(call: Call) -> str:
    """The client's address: as the gateway saw it (the last entry of X-Forwarded-For), else the peer's own."""
    if peer_name(call) == "gateway":
        forwarded = call.metadata.get("x-forwarded-for", "").rsplit(",", 1)[-1].strip()
        if forwarded:
            return forwarded
    return str(call.context.peer()).rsplit(":", 1)[0]
