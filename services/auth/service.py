"""Wires auth: its parts and its proto services."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from convergence.auth.v1 import (
    api_key_service_pb2_grpc,
    audit_append_service_pb2_grpc,
    audit_service_pb2_grpc,
    authentication_service_pb2_grpc,
    closing_service_pb2_grpc,
    ledger_service_pb2_grpc,
    location_service_pb2_grpc,
    quota_service_pb2_grpc,
    session_token_service_pb2_grpc,
    tenant_check_service_pb2_grpc,
    tenant_service_pb2_grpc,
    usage_service_pb2_grpc,
)

from services.auth.audit.appender import AuditAppender
from services.auth.audit.retention import retention
from services.auth.audit.store import AuditStore
from services.auth.authenticator import LocalAuthenticator
from services.auth.key_change_feed import KeyChangeFeed
from services.auth.key_digests import KeyDigests
from services.auth.key_memory import KeyMemory
from services.auth.key_usage import KeyUsage
from services.auth.ledger import Ledger
from services.auth.servicers.api_key import ApiKeyServicer
from services.auth.servicers.audit import AuditAppendServicer, AuditServicer
from services.auth.servicers.authentication import AuthenticationServicer
from services.auth.servicers.closing import ClosingServicer
from services.auth.servicers.ledger import LedgerServicer
from services.auth.servicers.location import LocationServicer
from services.auth.servicers.quota import QuotaServicer
from services.auth.servicers.session_token import SessionTokenServicer
from services.auth.servicers.tenant import TenantServicer
from services.auth.servicers.tenant_check import TenantCheckServicer
from services.auth.servicers.usage import UsageServicer
from services.auth.sessions.tokens import SessionTokens
from services.auth.settings import AuthSettings
from services.auth.store import AuthStore
from services.auth.tenants.location import TenantLocations
from services.auth.tenants.store import TenantStore
from services.platform.audit.delivery import Append
from services.platform.bigquery.client import BigQuery
from services.platform.clock import Clock
from services.platform.server import Served


@asynccontextmanager
async def auth_service(
    settings: AuthSettings, *, bq: BigQuery, clock: Clock
) -> AsyncIterator[tuple[list[Served], LocalAuthenticator, Append]]:
    """The servicers, ready for `serve`, the authenticator of their callers, and the audit log for what they record. Leaving the context
    writes what was collected in memory.
    """
    store, tenants = AuthStore(bq, plan_defaults=settings.plan_defaults, quota_days=settings.quota_days), TenantStore(bq)
    memory = KeyMemory(seconds=settings.key_memory_seconds, size=settings.key_cache_size)
    digests = KeyDigests(seconds=settings.key_memory_seconds)
    audit = AuditStore(bq)
    async with (
        KeyUsage(store, clock, seconds=settings.key_usage_seconds) as usage,
        Ledger.of(store, clock, settings) as ledger,
        AuditAppender(audit, clock, gather_seconds=settings.audit_gather_seconds) as appender,
        retention(audit, clock, days=settings.audit_days),
    ):
        changes = KeyChangeFeed(memory, also=ledger.doubt)
        tokens = SessionTokens(settings.token_secrets, clock)
        authenticator = LocalAuthenticator(store, clock, memory=memory, digests=digests, usage=usage, changes=changes, tokens=tokens)
        locations = TenantLocations(bq, allowed=settings.locations)
        servicers = [
            *tenants_served(store, tenants, ledger, clock, changes, locations),
            *served(store, ledger, authenticator, clock, changes, tokens),
            *audit_served(audit, tenants, appender, clock),
        ]
        yield servicers, authenticator, appender.append


def tenants_served(
    store: AuthStore, tenants: TenantStore, ledger: Ledger, clock: Clock, changes: KeyChangeFeed, locations: TenantLocations
) -> list[Served]:
    """The servicers of tenants and their keys."""
    return [
        Served(
            name="convergence.auth.v1.TenantService",
            add=tenant_service_pb2_grpc.add_TenantServiceServicer_to_server,
            servicer=TenantServicer(tenants, ledger, clock, changes, locations),
        ),
        Served(
            name="convergence.auth.v1.LocationService",
            add=location_service_pb2_grpc.add_LocationServiceServicer_to_server,
            servicer=LocationServicer(tenants, clock),
        ),
        Served(
            name="convergence.auth.v1.TenantCheckService",
            add=tenant_check_service_pb2_grpc.add_TenantCheckServiceServicer_to_server,
            servicer=TenantCheckServicer(tenants),
        ),
        Served(
            name="convergence.auth.v1.ClosingService",
            add=closing_service_pb2_grpc.add_ClosingServiceServicer_to_server,
            servicer=ClosingServicer(tenants, ledger, clock, changes),
        ),
        Served(
            name="convergence.auth.v1.ApiKeyService",
            add=api_key_service_pb2_grpc.add_ApiKeyServiceServicer_to_server,
            servicer=ApiKeyServicer(store, tenants, clock, changes),
        ),
    ]


def served(
    store: AuthStore,
    ledger: Ledger,
    authenticator: LocalAuthenticator,
    clock: Clock,
    changes: KeyChangeFeed,
    tokens: SessionTokens | None = None,
) -> list[Served]:
    """The servicers of callers and the ledger. `tokens`: None: session tokens are off."""
    return [
        Served(
            name="convergence.auth.v1.SessionTokenService",
            add=session_token_service_pb2_grpc.add_SessionTokenServiceServicer_to_server,
            servicer=SessionTokenServicer(authenticator, tokens or SessionTokens((), clock), clock),
        ),
        Served(
            name="convergence.auth.v1.QuotaService",
            add=quota_service_pb2_grpc.add_QuotaServiceServicer_to_server,
            servicer=QuotaServicer(ledger, clock),
        ),
        Served(
            name="convergence.auth.v1.UsageService",
            add=usage_service_pb2_grpc.add_UsageServiceServicer_to_server,
            servicer=UsageServicer(store, clock),
        ),
        Served(
            name="convergence.auth.v1.AuthenticationService",
            add=authentication_service_pb2_grpc.add_AuthenticationServiceServicer_to_server,
            servicer=AuthenticationServicer(authenticator, changes),
            stop=changes.close,
        ),
        Served(
            name="convergence.auth.v1.LedgerService",
            add=ledger_service_pb2_grpc.add_LedgerServiceServicer_to_server,
            servicer=LedgerServicer(ledger),
        ),
    ]


def audit_served(store: AuditStore, tenants: TenantStore, appender: AuditAppender, clock: Clock) -> list[Served]:
    """The servicers of the audit log."""
    return [
        Served(
            name="convergence.auth.v1.AuditService",
            add=audit_service_pb2_grpc.add_AuditServiceServicer_to_server,
            servicer=AuditServicer(store, tenants, clock),
        ),
        Served(
            name="convergence.auth.v1.AuditAppendService",
            add=audit_append_service_pb2_grpc.add_AuditAppendServiceServicer_to_server,
            servicer=AuditAppendServicer(appender),
        ),
    ]
