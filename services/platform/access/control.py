"""Authenticates the caller and applies the access rule of the proto, before anything else in the request is read."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from convergence.access.v1 import access_pb2

from services.platform import log
from services.platform.access.addresses import client_address, client_network, peer_name
from services.platform.access.admin_keys import operator_of
from services.platform.access.bearer import bearer_token
from services.platform.access.caller import Caller, claimed_user_id, set_caller
from services.platform.access.key_cache import KeyCache
from services.platform.access.key_holder import Authenticator, KeyHolder
from services.platform.access.missing import missing_admin_key, missing_api_key
from services.platform.access.oidc_operators import Operators
from services.platform.access.operator import Operator
from services.platform.access.request_limiter import RequestLimiter
from services.platform.access.scopes import may
from services.platform.access.sessions.cache import SessionCache
from services.platform.access.sessions.session import REFUSED_TOKEN, Session, SessionAuthenticator
from services.platform.clock import Clock, SystemClock
from services.platform.errors import ConvergenceError, PermissionDenied, Unauthenticated
from services.platform.rpc.calls import Call, Rpc, Step
from services.platform.rpc.rules import rule_of
from services.platform.settings import ServiceSettings


class AccessControl:
    """The interceptor that authenticates the caller, counts the call, and then authorizes it. So a call that is not authorized is counted,
    too.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        authenticator: Authenticator,
        *,
        sessions: SessionAuthenticator | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Clock | None = None,
    ) -> None:
        self._admin_keys, self._operators = settings.admin_keys, Operators(settings.oidc)
        self._spiffe_id = settings.spiffe_id
        self._keys = KeyCache(settings, authenticator, clock=clock or SystemClock(), monotonic=monotonic)
        self._sessions = SessionCache(settings, sessions, clock=clock or SystemClock(), monotonic=monotonic) if sessions else None
        self._limiter = RequestLimiter(settings, monotonic=monotonic)

    def __call__(self, rpc: Rpc, proceed: Step) -> Step:
        """Sets the current caller. A call raises Unauthenticated, PermissionDenied, or ResourceExhausted for too many calls."""
        rule = (rule_of(rpc.method) if rpc.method is not None else None) or access_pb2.Allow()

        async def admitted(call: Call) -> Any:
            caller = await self._caller(rpc, rule, call)
            # What the request says is in the log's lines already.
            if caller.tenant_id and caller.tenant_id != getattr(call.request, "tenant_id", None):
                log.bind(tenant_id=caller.tenant_id)
            set_caller(caller)
            return await proceed(call)

        return admitted

    def forget(self, tenant_id: str) -> None:
        """Invalidates cached keys of the tenant; of all tenants if `tenant_id` is empty."""
        self._keys.forget(tenant_id)
        if self._sessions is not None:
            self._sessions.forget(tenant_id)

    async def _caller(self, rpc: Rpc, rule: access_pb2.Allow, call: Call) -> Caller:
        match rule.WhichOneof("caller"):
            case "anyone":
                return Caller()
            case "service":
                return _service_caller(rpc, rule, peer_name(call, self._spiffe_id))
            case "admin":
                return await self._admin_caller(call, rule)
            case "tenant":
                holder, session = await self._holder(call)
                try:
                    self._limiter.tenant(
                        call, tenant_id=holder.tenant_id, key_id=holder.api_key_id, per_minute=holder.limits.requests_per_minute
                    )
                    _authorize(call, rule, holder)
                    claimed = claimed_user_id(call.metadata)
                except ConvergenceError:
                    # The audit log names the holder of the credential, for a refused call, too.
                    set_caller(_tenant_caller(holder, session))
                    raise
                return _tenant_caller(holder, session, claimed)
        raise PermissionDenied("CALLER_DENIED", f"{rpc.path} has no access rule in its proto, so every call is refused.")

    async def _admin_caller(self, call: Call, rule: access_pb2.Allow) -> Caller:
        needed = rule.admin.role
        operator = await self._operator(call, needed)
        known = Caller(admin_role=min(operator.roles, default=None), principal=operator.principal, is_oidc=operator.is_oidc)
        set_caller(known)
        self._limiter.admin(call, key_id=operator.counted_as)
        if needed not in operator.roles:
            raise PermissionDenied("ADMIN_ROLE_DENIED", f"This call needs the role {needed}, which {operator.principal} does not have.")
        user_id = claimed_user_id(call.metadata)
        return replace(known, admin_role=needed, user_id=user_id)

    async def _operator(self, call: Call, role: str) -> Operator:
        if key := call.metadata.get("x-admin-key", ""):
            return operator_of(key, self._admin_keys)
        if token := bearer_token(call.metadata):
            return await self._operators.authenticate(token)
        raise missing_admin_key(role)

    async def _holder(self, call: Call) -> tuple[KeyHolder, Session | None]:
        def client_of() -> str:
            return client_network(client_address(call, peer_name(call, self._spiffe_id)))

        if key := call.metadata.get("x-api-key", ""):
            return await self._keys.holder(key, client_of), None
        if token := bearer_token(call.metadata):
            if self._sessions is None:
                raise Unauthenticated("TOKEN_INVALID", REFUSED_TOKEN)
            session = await self._sessions.session(token, client_of)
            return session.holder, session
        raise missing_api_key()


def _tenant_caller(holder: KeyHolder, session: Session | None, claimed: str | None = None) -> Caller:
    return Caller(
        tenant_id=holder.tenant_id,
        api_key_id=holder.api_key_id,
        session_token_id=session.session_token_id if session else None,
        scopes=holder.scopes,
        limits=holder.limits,
        user_id=(session.user_id if session else None) or claimed,
    )


def _authorize(call: Call, rule: access_pb2.Allow, holder: KeyHolder) -> None:
    asked = getattr(call.request, "tenant_id", holder.tenant_id)
    if asked != holder.tenant_id:
        raise PermissionDenied("TENANT_MISMATCH", "This API key or token is of another tenant. Use the tenant_id that it was issued for.")
    if not holder.tenant_active and not rule.tenant.even_if_suspended:
        raise PermissionDenied("TENANT_NOT_ACTIVE", "This tenant is not ACTIVE. Ask the operator of this service to activate it.")
    if not holder.subscription_active and not rule.tenant.even_if_suspended:
        raise PermissionDenied("SUBSCRIPTION_NOT_ACTIVE", "This tenant has no ACTIVE subscription. Renew it and try again.")
    if not may(rule.tenant.scope, holder.scopes):
        needed = f"This call needs an API key or token with scope {rule.tenant.scope}"
        raise PermissionDenied("SCOPE_MISSING", f"{needed}; this one was issued without it. Ask for one that has it.")


def _service_caller(rpc: Rpc, rule: access_pb2.Allow, name: str | None) -> Caller:
    set_caller(Caller(service=name))
    if name not in rule.service.names:
        allowed = " and ".join(rule.service.names)
        raise PermissionDenied("CALLER_DENIED", f"{rpc.path} is for {allowed} only, by their certificates.")
    return Caller(service=name)
