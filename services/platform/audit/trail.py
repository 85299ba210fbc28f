"""The interceptor that records calls: around the access control, so that it sees what is refused."""

import asyncio
import uuid
from typing import Any

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor

from services.platform import metrics
from services.platform.access.addresses import client_address, client_network, peer_name
from services.platform.access.caller import Caller, known_caller, set_caller
from services.platform.audit.entry import PLATFORM, ActorKind, AuditEntry
from services.platform.audit.pending import PendingEntries
from services.platform.audit.rules import Recording, recording, resource_of
from services.platform.clock import Clock
from services.platform.errors import ConvergenceError
from services.platform.identifiers import TENANT_ID
from services.platform.rpc.calls import DEADLINE_MARGIN, Call, Rpc, Step, request_id

_log = structlog.get_logger()
MAX_ADDRESS, MAX_PRINCIPAL = 64, 256


class AuditTrail:
    """Records calls in memory. It never fails a call, and never makes it wait."""

    def __init__(self, pending: PendingEntries, clock: Clock, *, spiffe_id: str | None = None) -> None:
        """`spiffe_id`: as of the settings."""
        self._pending, self._clock, self._spiffe_id = pending, clock, spiffe_id

    def around(self, rpc: Rpc, proceed: Step) -> Step:
        """The interceptor: records a call when it has ended."""
        method = rpc.method
        if method is None:
            return proceed

        async def recorded(call: Call) -> Any:
            set_caller(None)
            code, reason = grpc.StatusCode.OK, "OK"
            try:
                return await proceed(call)
            except ConvergenceError as error:
                code, reason = error.code, error.reason
                raise
            except asyncio.CancelledError:
                left = call.context.time_remaining()
                code, reason = grpc.StatusCode.CANCELLED, "CANCELLED"
                if left is not None and left <= DEADLINE_MARGIN:
                    code, reason = grpc.StatusCode.DEADLINE_EXCEEDED, "SERVICE_TIMEOUT"
                raise
            except Exception:
                code, reason = grpc.StatusCode.INTERNAL, "INTERNAL"
                raise
            finally:
                try:
                    self._record(method, call, code, reason)
                except Exception:  # noqa: BLE001 - a call must not fail because it could not be recorded; the metric is an alert
                    metrics.AUDIT_ENTRIES.labels("dropped").inc()
                    _log.exception("audit_broke")

        return recorded

    def _record(self, method: MethodDescriptor, call: Call, code: grpc.StatusCode, reason: str) -> None:
        how = recording(method, code, reason, is_served=call.is_served)
        if how is Recording.NOT:
            return
        caller, address = known_caller(), client_address(call, peer_name(call, self._spiffe_id))[:MAX_ADDRESS]
        kind, actor_id = actor_of(caller, address)
        is_each = how is Recording.EACH
        entry = AuditEntry(
            entry_id=str(uuid.uuid4()),
            chain=chain_of(caller, getattr(call.request, "tenant_id", ""), reason, is_served=call.is_served),
            time=self._clock.now(),
            action=method.name,
            resource=resource_of(method, call.request, call.answer) if is_each else "",
            outcome=reason,
            actor_kind=kind,
            actor_id=actor_id,
            actor_role=(caller.admin_role if caller else None) or "",
            user_id=(caller.user_id if caller else None) or "",
            request_id=request_id.get(),
            client_address=address,
        )
        if not (self._pending.add(entry) if is_each else self._pending.count(entry)):
            metrics.AUDIT_ENTRIES.labels("dropped").inc()


def actor_of(caller: Caller | None, address: str) -> tuple[ActorKind, str]:
    """The kind of credential, and who that is; of a caller whose credential is missing or was refused, its
    address, of IPv6 its network.
    """
    if caller is None:
        return ActorKind.UNKNOWN, client_network(address)
    if caller.session_token_id is not None:
        return ActorKind.SESSION_TOKEN, caller.session_token_id
    if caller.api_key_id is not None:
        return ActorKind.API_KEY, caller.api_key_id
    if caller.principal is not None:
        return ActorKind.OIDC if caller.is_oidc else ActorKind.ADMIN_KEY, caller.principal[:MAX_PRINCIPAL]
    if caller.service is not None:
        return ActorKind.SERVICE, caller.service
    return ActorKind.UNKNOWN, client_network(address)


def chain_of(caller: Caller | None, tenant_id: str, reason: str, *, is_served: bool) -> str:
    """The chain of a call about `tenant_id`: the caller's own tenant's, whomever it asked for; of an operator's call the tenant's, once the
    call was let in; else the platform's. So callers that are refused cannot fill another tenant's log.
    """
    if caller is not None and caller.tenant_id is not None:
        chain = caller.tenant_id
    elif caller is not None and caller.principal is not None and is_served and reason != "TENANT_NOT_FOUND":
        chain = tenant_id
    else:
        return PLATFORM
    # Keys that the subscription system has written may be of a tenant whose id is none of ours: all its calls are refused.
    return chain if TENANT_ID.fullmatch(chain) else PLATFORM
