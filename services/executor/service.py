"""Wires the executor: its parts and the servicers it serves."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import grpc
import pyarrow as pa
from convergence.executor.v1.access_service_pb2_grpc import add_AccessServiceServicer_to_server
from convergence.executor.v1.all_runs_service_pb2_grpc import add_AllRunsServiceServicer_to_server
from convergence.executor.v1.cost_service_pb2_grpc import add_CostServiceServicer_to_server
from convergence.executor.v1.led_run_service_pb2_grpc import add_LedRunServiceServicer_to_server
from convergence.executor.v1.notification_service_pb2_grpc import add_NotificationServiceServicer_to_server
from convergence.executor.v1.pipeline_service_pb2_grpc import add_PipelineServiceServicer_to_server
from convergence.executor.v1.quality_service_pb2_grpc import add_QualityServiceServicer_to_server
from convergence.executor.v1.run_service_pb2_grpc import add_RunServiceServicer_to_server
from convergence.executor.v1.watch_service_pb2_grpc import add_WatchServiceServicer_to_server

from services.clouds.access import CloudEndpoints
from services.clouds.check_pool import CheckPool
from services.clouds.own_resources import OwnResources
from services.executor.access.canary import AccessCanary
from services.executor.access.checker import AccessChecker
from services.executor.access.records import CheckRecords
from services.executor.all_runs.store import AllRuns
from services.executor.all_runs.tenants import AuthTenants
from services.executor.costs.answers import CostAnswers
from services.executor.costs.cache import AnswerCache
from services.executor.costs.looks import Looks
from services.executor.costs.store import CostStore
from services.executor.keyed_locks import KeyedLocks
from services.executor.metering.run import Metering
from services.executor.notify.addresses import is_public
from services.executor.notify.delivery import Delivery
from services.executor.notify.destinations import TenantDestinations
from services.executor.notify.https import Guard, Poster
from services.executor.notify.mail import Mailer, MailServer
from services.executor.notify.notifier import Limits, Notifier
from services.executor.notify.records import DeliveryRecords
from services.executor.quality.store import QualityStore
from services.executor.retention.old_records import OldRecords, retention
from services.executor.runs.active import ActiveRuns
from services.executor.runs.admission import Admission
from services.executor.runs.cancel import Canceller
from services.executor.runs.cancel_tenant import TenantCanceller
from services.executor.runs.dry_run import DryRunner
from services.executor.runs.execute import execute
from services.executor.runs.idempotency import IdempotentStarts
from services.executor.runs.leases import ENDED_ELSEWHERE, LeaseRenewer
from services.executor.runs.prepared import RunPreparer
from services.executor.runs.quota import QuotaClient
from services.executor.runs.reconcile import Reconciler
from services.executor.runs.start import RunStarter
from services.executor.runs.states import RunStates
from services.executor.servicers.access import AccessServicer
from services.executor.servicers.all_runs import AllRunsServicer
from services.executor.servicers.cost import CostServicer
from services.executor.servicers.led_run import LedRunServicer
from services.executor.servicers.notification import NotificationServicer
from services.executor.servicers.pipeline import PipelineServicer
from services.executor.servicers.quality import QualityServicer
from services.executor.servicers.run import RunServicer
from services.executor.servicers.watch import WatchServicer
from services.executor.settings import ExecutorSettings
from services.executor.sources.credentials import SealedCredentials
from services.executor.sources.registry import TenantSources
from services.executor.sources.spool import SpoolRoom
from services.executor.sources.tokens import IdentityTokens
from services.executor.staging.tables import StagingTables
from services.executor.steps import STEP_TYPES
from services.executor.store import Store
from services.executor.templates.reload import ReloadingCatalog
from services.executor.templates.step import Toolbox
from services.executor.watch.leaders import Leaders
from services.executor.watch.watchers import Watchers
from services.executor.watch.watches import Watches
from services.executor.workers import Workers
from services.platform.bigquery.client import BigQuery
from services.platform.clock import Clock
from services.platform.kms.client import Kms
from services.platform.reporting.events import RecordEvent, unrecorded
from services.platform.rpc.peers import peer_channel
from services.platform.server import Served

DRY_RUN_WORKERS = 2
"""Threads that read sources for dry runs."""


@asynccontextmanager
async def executor_service(  # noqa: PLR0913 - what it stands on
    settings: ExecutorSettings,
    *,
    bq: BigQuery,
    kms: Kms,
    auth: grpc.aio.Channel,
    credentials: grpc.aio.Channel,
    clock: Clock,
    record: RecordEvent = unrecorded,
) -> AsyncIterator[list[Served]]:
    """The servicers, ready for `serve`. Runs execute while the context is open; leaving it lets them end within the grace period while
    their reservations are still renewed. `record` learns of leases that were lost.
    """
    # Arrow's own pool keeps what was freed for the thread that had it: a fifth more memory at a large read.
    pa.set_memory_pool(pa.system_memory_pool())
    ddl = settings.configs_dir / "bigquery" / "tenant"
    async with (
        AllRuns(bq, clock, every_seconds=settings.report_flush_seconds) as all_runs,
        ReloadingCatalog(settings.configs_dir, STEP_TYPES, poll_seconds=settings.template_poll_seconds) as catalog,
        Workers(settings.max_concurrent_runs) as workers,
        Workers(DRY_RUN_WORKERS) as dry_run_workers,
        CheckPool(threads=settings.check_credentials_at_once) as checks,
        CheckPool(threads=settings.check_credentials_at_once, is_one_a_tenant=False) as nightly_checks,
    ):
        store, quota = Store(bq, ddl=ddl, record=all_runs.record), QuotaClient(auth)
        staging = StagingTables(bq, clock)
        sealed = SealedCredentials(
            credentials, cache_seconds=settings.credentials_known_seconds, cache_size=settings.credentials_known_most
        )
        tokens = IdentityTokens(credentials)
        is_open = settings.notify_allow_private_targets
        guard = Guard(lambda address: is_open or is_public(address, settings.notify_refused_networks))
        delivery = Delivery(
            destinations=TenantDestinations(sealed, kms),
            poster=Poster(
                guard, ssl.create_default_context(), clock, ports=None if is_open else settings.notify_ports, allow_plain=is_open
            ),
            mailer=Mailer(MailServer.of(settings), ssl.create_default_context()),
            clock=clock,
        )
        notifier = Notifier(delivery, Limits.of(settings), records=DeliveryRecords(credentials), clock=clock)
        spool = SpoolRoom(settings.spool_dir)
        spool.show()
        tools = Toolbox(
            bq=bq,
            store=store,
            staging=staging,
            sources=TenantSources(sealed, kms, tokens, settings),
            notifier=notifier,
            workers=workers,
            clock=clock,
            spool=spool,
            publish_locks=KeyedLocks(),
            metering=Metering.of(settings),
        )
        active = ActiveRuns(
            execute=lambda prepared, progress: execute(prepared, tools, progress),
            store=store,
            quota=quota,
            clock=clock,
            max_concurrent=settings.max_concurrent_runs,
            grace_seconds=settings.grace_seconds,
        )
        reconciler = Reconciler(store, quota, clock, record)
        renewer = LeaseRenewer(active=active, store=store, quota=quota, reconciler=reconciler, lease_seconds=settings.lease_seconds)
        admission = Admission(
            store=store, quota=quota, credentials=sealed, reconciler=reconciler, clock=clock, lease_seconds=settings.lease_seconds
        )
        own = OwnResources.of(settings)
        preparer = RunPreparer(catalog, clock, wait=timedelta(seconds=settings.run_wait_seconds), own=own)
        heartbeat_seconds = settings.watch_silence_seconds
        to_executor = partial(peer_channel, settings, caller="executor", peer="executor")
        leaders = Leaders(settings.executor_address, to_executor, heartbeat_seconds=heartbeat_seconds)
        canceller = Canceller(store=store, quota=quota, active=active, clock=clock, announce_end=leaders.announce_end)
        starter = RunStarter(preparer=preparer, admission=admission, active=active)
        watches = Watches(store=store, leaders=leaders, poll_seconds=settings.watch_poll_seconds, heartbeat_seconds=heartbeat_seconds)
        led_run_servicer = LedRunServicer(
            store.led_runs,
            heartbeat_seconds=heartbeat_seconds,
            stop_run=lambda run, status: active.stop(run, ENDED_ELSEWHERE, status=status),
        )
        checker, records = AccessChecker(bq, kms, tokens, CloudEndpoints.of(settings)), CheckRecords(credentials)
        canary = AccessCanary(
            records=records,
            checker=checker,
            pool=nightly_checks,
            clock=clock,
            at_once=settings.check_credentials_at_once,
            seconds=settings.check_credentials_seconds,
        )
        dry_tools = replace(tools, workers=dry_run_workers)
        old_records = OldRecords(
            bq, clock, project=settings.datasets_project, run_days=settings.run_days, step_log_days=settings.step_log_days
        )
        async with staging, store.lines, notifier, renewer, active, retention(old_records):
            yield [
                Served(
                    name="convergence.executor.v1.PipelineService",
                    add=add_PipelineServiceServicer_to_server,
                    servicer=PipelineServicer(
                        preparer=preparer,
                        starts=IdempotentStarts(starter, store, clock),
                        dry_runner=DryRunner(dry_tools, sealed, query_usd_per_tib=settings.query_usd_per_tib),
                        canceller=canceller,
                        store=store,
                        clock=clock,
                    ),
                    stop=active.note_stop,
                ),
                Served(
                    name="convergence.executor.v1.RunService",
                    add=add_RunServiceServicer_to_server,
                    servicer=RunServicer(
                        preparer=preparer,
                        starter=starter,
                        states=RunStates(starter=starter, quota=quota, store=store, reconciler=reconciler),
                        tenants=TenantCanceller(store=store, canceller=canceller, reconciler=reconciler),
                        reconciler=reconciler,
                    ),
                ),
                Served(
                    name="convergence.executor.v1.AllRunsService",
                    add=add_AllRunsServiceServicer_to_server,
                    servicer=AllRunsServicer(all_runs, AuthTenants(auth), clock),
                ),
                Served(
                    name="convergence.executor.v1.QualityService",
                    add=add_QualityServiceServicer_to_server,
                    servicer=QualityServicer(QualityStore(bq, ddl=ddl), clock),
                ),
                Served(
                    name="convergence.executor.v1.CostService",
                    add=add_CostServiceServicer_to_server,
                    servicer=cost_servicer(settings, bq, clock),
                ),
                Served(
                    name="convergence.executor.v1.NotificationService",
                    add=add_NotificationServiceServicer_to_server,
                    servicer=NotificationServicer(notifier, clock),
                ),
                Served(
                    name="convergence.executor.v1.AccessService",
                    add=add_AccessServiceServicer_to_server,
                    servicer=AccessServicer(sealed=sealed, checker=checker, pool=checks, records=records, canary=canary, clock=clock),
                ),
                Served(
                    name="convergence.executor.v1.WatchService",
                    add=add_WatchServiceServicer_to_server,
                    servicer=WatchServicer(watches, Watchers(settings.max_watchers)),
                ),
                Served(
                    name="convergence.executor.v1.LedRunService",
                    add=add_LedRunServiceServicer_to_server,
                    servicer=led_run_servicer,
                    stop=led_run_servicer.stop,
                ),
            ]


def cost_servicer(settings: ExecutorSettings, bq: BigQuery, clock: Clock) -> CostServicer:
    """CostService with its cache."""
    store = CostStore(bq, ddl=settings.configs_dir / "bigquery" / "tenant", max_bytes=settings.costs_max_bytes)
    looks = Looks(bq, known_seconds=settings.costs_known_seconds)
    cache: AnswerCache[Any, Any] = AnswerCache(
        most_entries=settings.costs_cache_most, most_bytes=settings.costs_cache_bytes, seconds=settings.costs_cache_seconds
    )
    return CostServicer(answers=CostAnswers(store, looks, clock, cache), store=store, looks=looks, clock=clock)
