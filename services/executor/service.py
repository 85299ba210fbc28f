"""The executor as one object: what leads runs, and what it serves."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
from convergence.executor.v1.pipeline_service_pb2_grpc import add_PipelineServiceServicer_to_server
from convergence.executor.v1.run_service_pb2_grpc import add_RunServiceServicer_to_server
from convergence.executor.v1.watch_service_pb2_grpc import add_WatchServiceServicer_to_server

from services.executor.keyed_locks import Turns
from services.executor.notify.addresses import is_public
from services.executor.notify.delivery import Delivery
from services.executor.notify.destinations import TenantTargets
from services.executor.notify.https import Guard, Poster
from services.executor.notify.mail import Mailer, MailServer
from services.executor.notify.notifier import Limits, Notifier
from services.executor.runs.active import LiveRuns
from services.executor.runs.cancel import Canceller
from services.executor.runs.dry_run import Previewer, Prices
from services.executor.runs.execute import execute
from services.executor.runs.idempotency import KeyedStarts
from services.executor.runs.leases import LeaseKeeper
from services.executor.runs.quota import Ledger
from services.executor.runs.reconcile import Reconciler
from services.executor.runs.start import Starter
from services.executor.servicers.pipeline import PipelineServicer
from services.executor.servicers.run import RunServicer
from services.executor.servicers.watch import WatchServicer
from services.executor.settings import ExecutorSettings
from services.executor.sources.credentials import SealedCredentials
from services.executor.sources.registry import TenantClouds
from services.executor.staging.tables import StagingTables
from services.executor.steps import STEP_TYPES
from services.executor.store import Store
from services.executor.templates.reload import LiveCatalog
from services.executor.templates.step import Toolbox
from services.executor.workers import Workers
from services.platform.bigquery.client import BigQuery
from services.platform.clock import Clock
from services.platform.kms.client import Kms
from services.platform.server import Served

PREVIEWERS = 2
"""Threads that look at sources for dry runs."""


@asynccontextmanager
async def executor_service(
    settings: ExecutorSettings, *, bq: BigQuery, kms: Kms, auth: grpc.aio.Channel, credentials: grpc.aio.Channel, clock: Clock
) -> AsyncIterator[list[Served]]:
    """The servicers, ready for `serve`. Runs are led while the context is open; leaving it lets them end within the grace period, while
    their slots are still renewed.
    """
    async with (
        LiveCatalog(settings.configs_dir, STEP_TYPES, poll_seconds=settings.template_poll_seconds) as catalog,
        Workers(settings.max_concurrent_runs) as workers,
        Workers(PREVIEWERS) as previewers,
    ):
        store, ledger = Store(bq, ddl=settings.configs_dir / "bigquery" / "tenant"), Ledger(auth)
        sealed = SealedCredentials(
            credentials, known_seconds=settings.credentials_known_seconds, known_most=settings.credentials_known_most
        )
        guard = Guard(lambda address: settings.notify_allow_private_targets or is_public(address))
        delivery = Delivery(
            targets=TenantTargets(sealed, kms),
            poster=Poster(guard, ssl.create_default_context(), clock),
            mailer=Mailer(MailServer.of(settings), ssl.create_default_context()),
            clock=clock,
        )
        notifier = Notifier(delivery, Limits.of(settings))
        tools = Toolbox(
            bq=bq,
            store=store,
            staging=StagingTables(bq, clock),
            clouds=TenantClouds(sealed, kms, settings),
            notifier=notifier,
            workers=workers,
            clock=clock,
            spool_dir=settings.spool_dir,
            turns=Turns(),
        )
        live = LiveRuns(
            execute=lambda job: execute(job, tools),
            store=store,
            ledger=ledger,
            clock=clock,
            max_concurrent=settings.max_concurrent_runs,
            grace_seconds=settings.grace_seconds,
        )
        reconciler = Reconciler(store, ledger, clock)
        keeper = LeaseKeeper(live=live, store=store, ledger=ledger, reconciler=reconciler, lease_seconds=settings.lease_seconds)
        starter = Starter(
            catalog=catalog,
            credentials=sealed,
            ledger=ledger,
            store=store,
            live=live,
            reconciler=reconciler,
            clock=clock,
            lease_seconds=settings.lease_seconds,
        )
        prices = Prices(query=settings.query_usd_per_tib, storage_read=settings.storage_read_usd_per_tib)
        async with notifier, keeper, live:
            yield [
                Served(
                    name="convergence.executor.v1.PipelineService",
                    add=add_PipelineServiceServicer_to_server,
                    servicer=PipelineServicer(
                        starter=starter,
                        keyed=KeyedStarts(starter, store, clock),
                        canceller=Canceller(store=store, ledger=ledger, live=live, clock=clock),
                        previewer=Previewer(replace(tools, workers=previewers), prices),
                        store=store,
                        catalog=catalog,
                    ),
                ),
                Served(
                    name="convergence.executor.v1.RunService",
                    add=add_RunServiceServicer_to_server,
                    servicer=RunServicer(starter=starter, ledger=ledger, store=store, reconciler=reconciler),
                ),
                Served(
                    name="convergence.executor.v1.WatchService",
                    add=add_WatchServiceServicer_to_server,
                    servicer=WatchServicer(store, settings),
                ),
            ]
