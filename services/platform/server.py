"""A service's server: grpc.aio behind mTLS, with health, reflection and the interceptors around every call."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from services.platform import log
from services.platform.access.control import AccessControl
from services.platform.access.key_holder import Authenticator
from services.platform.access.sent_twice import one_credential_each
from services.platform.access.sessions.session import SessionAuthenticator, WatchedAuthenticator
from services.platform.audit.delivery import Append, AuditDelivery
from services.platform.audit.pending import PendingEntries
from services.platform.audit.trail import AuditTrail
from services.platform.clock import SystemClock
from services.platform.limits.event_loop import watched_event_loop
from services.platform.limits.garbage import leave_alone_what_has_started
from services.platform.metrics.process import expect_jobs, show_build
from services.platform.metrics.serve import serve_metrics
from services.platform.periodic import Periodic
from services.platform.reporting.events import RecordEvent, unrecorded
from services.platform.reporting.jobs import jobs_of, jobs_recorded
from services.platform.rpc.body_fields import only_known_body_fields
from services.platform.rpc.calls import InterceptedHandlers, Interceptor
from services.platform.rpc.page_tokens import page_tokens
from services.platform.rpc.query_fields import only_queries_that_count
from services.platform.rpc.report import report
from services.platform.rpc.trace import traced
from services.platform.rpc.validation import validation
from services.platform.settings import ServiceSettings
from services.platform.tls.server import server_credentials
from services.platform.tls.watch import TlsWatch

_log = structlog.get_logger()
MAX_MESSAGE_BYTES = 1024 * 1024
"""More than any request that the gateway lets through, whatever its JSON becomes as a message."""
AUDIT_SECONDS = 5.0
"""How long a service that has stopped tries to store its last entries of the audit log."""
MAX_METADATA_BYTES = 16 * 1024
"""The gateway's limit (7 KiB in at most 100 headers) as gRPC counts it, with 32 bytes more a header, plus the headers that the gateway
adds. Above the limit (default 8 KiB) gRPC refuses some calls and accepts others.
"""
OPTIONS = (
    # Without this, a second server on the same port would silently take part of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    # The gateway and our peers ping every 30 s. By default a server treats pings within 5 minutes of silence as abuse ("too many pings")
    # and closes the connection with all its calls.
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A connection is judged when it begins, so no new call rides on one whose certificate has been out of use for an hour. Open calls end
    # on the old connection.
    ("grpc.max_connection_age_ms", 3_600_000),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """One proto service and its servicer."""

    name: str
    """Full name, e.g. `convergence.auth.v1.QuotaService`."""
    add: Callable[[Any, Any], None]
    """The generated `add_..._to_server`."""
    servicer: object
    stop: Callable[[], None] = lambda: None
    """Called when the server begins to stop; ends streams that would not end by themselves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """A server before it is started."""

    server: grpc.aio.Server
    access: AccessControl
    recorded: PendingEntries
    """What its calls have left for the audit log."""
    health: health_aio.HealthServicer
    certificates: TlsWatch
    port: int
    """The port it will listen on; chosen by the kernel if `listen` ends in `:0`."""


def build_server(
    settings: ServiceSettings,
    *,
    name: str,
    authenticator: Authenticator,
    served: Sequence[Served],
    sessions: SessionAuthenticator | None = None,
    record: RecordEvent = unrecorded,
) -> Built:
    """A server before it is started. `sessions`: None: it takes no session tokens. `record` learns when a job's call ended well. Raises
    OSError without certificates, RuntimeError if the port is taken.
    """
    access = AccessControl(settings, authenticator, sessions=sessions)
    recorded = PendingEntries()
    trail = AuditTrail(recorded, SystemClock(), spiffe_id=settings.spiffe_id)
    # A misspelt field is reported before a missing one: most likely it is the same field.
    steps: list[Interceptor] = [
        traced,
        report,
        trail.around,
        one_credential_each,
        access,
        only_queries_that_count,
        only_known_body_fields,
        validation(settings),
        page_tokens(settings),
        jobs_recorded(record),
    ]
    handlers, health = InterceptedHandlers(steps), health_aio.HealthServicer()
    for one in served:
        one.add(one.servicer, handlers)
    health_pb2_grpc.add_HealthServicer_to_server(health, handlers)
    names = [*(one.name for one in served), health_pb2.DESCRIPTOR.services_by_name["Health"].full_name]
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflection.aio.ReflectionServicer(names), handlers)
    server = grpc.aio.server(handlers=[handlers], options=OPTIONS)
    certificates = TlsWatch(settings.tls_dir, name)
    port = server.add_secure_port(settings.listen, server_credentials(certificates))
    return Built(server=server, access=access, recorded=recorded, health=health, certificates=certificates, port=port)


async def serve(
    settings: ServiceSettings,
    *,
    name: str,
    authenticator: WatchedAuthenticator,
    served: Sequence[Served],
    audit: Append,
    record: RecordEvent = unrecorded,
) -> None:
    """Serves until SIGTERM or SIGINT, and `drain_seconds` more; then refuses new calls and lets calls in progress end within
    `grace_seconds`. `audit` stores entries of the audit log; those that are left at the end within AUDIT_SECONDS. `record`: as of
    `build_server`.
    """
    log.warn_of_unknown_settings(os.environ)
    built = build_server(settings, name=name, authenticator=authenticator, served=served, sessions=authenticator, record=record)
    server, health = built.server, built.health
    # Mirrors gRPC health for the metrics threads, which cannot ask it.
    serving, stop = threading.Event(), asyncio.Event()
    show_build(settings.build_commit)
    expect_jobs(jobs_of(one.name for one in served))
    if settings.metrics_port is not None:
        serve_metrics(settings.listen.rsplit(":", 1)[0], settings.metrics_port, is_serving=serving.is_set)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    leave_alone_what_has_started()
    await server.start()
    for service in ("", *(one.name for one in served)):
        await health.set(service, health_pb2.HealthCheckResponse.SERVING)
    serving.set()
    _log.info("serving", address=settings.listen)
    forgetting = asyncio.create_task(_forget(built.access, authenticator.changes()))
    delivery = AuditDelivery(built.recorded, audit, SystemClock(), every_seconds=settings.audit_flush_seconds, last_seconds=AUDIT_SECONDS)
    async with delivery:
        async with watched_event_loop(), Periodic("certificates", (built.certificates.refresh, settings.tls_reload_seconds)):
            await stop.wait()
        _log.info("stopping", drain_seconds=settings.drain_seconds, grace_seconds=settings.grace_seconds)
        serving.clear()
        await drain(health, settings.drain_seconds)
        forgetting.cancel()
        for one in served:
            one.stop()
        await server.stop(settings.grace_seconds)


async def drain(health: health_aio.HealthServicer, seconds: float) -> None:
    """Reports NOT_SERVING, and returns after `seconds`. gRPC drops a call that reaches a server while it stops, with CANCELLED: by then no
    caller should send one.
    """
    await health.enter_graceful_shutdown()
    await asyncio.sleep(seconds)


async def _forget(access: AccessControl, key_changes: AsyncIterator[str]) -> None:
    async for tenant_id in key_changes:
        access.forget(tenant_id)
