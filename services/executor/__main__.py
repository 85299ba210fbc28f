"""`python -m services.executor`: settings -> clients -> servicer -> serve."""

import asyncio
import ssl
from dataclasses import replace

from convergence.executor.v1.pipeline_service_pb2_grpc import add_PipelineServiceServicer_to_server
from convergence.executor.v1.run_service_pb2_grpc import add_RunServiceServicer_to_server
from convergence.executor.v1.watch_service_pb2_grpc import add_WatchServiceServicer_to_server

from services.executor.cancelling import Canceller
from services.executor.credentials import SealedCredentials, TenantClouds
from services.executor.engine import execute
from services.executor.idempotency import KeyedStarts
from services.executor.leases import LeaseKeeper
from services.executor.ledger import Ledger
from services.executor.live import LiveRuns
from services.executor.live_catalog import LiveCatalog
from services.executor.loading import StagingTables
from services.executor.notify.addresses import is_public
from services.executor.notify.delivery import Delivery
from services.executor.notify.https import Guard, Poster
from services.executor.notify.mail import Mailer, MailServer
from services.executor.notify.notifier import Limits, Notifier
from services.executor.notify.targets import TenantTargets
from services.executor.previewing import Previewer, Prices
from services.executor.reconcile import Reconciler
from services.executor.run_servicer import RunServicer
from services.executor.servicer import PipelineServicer
from services.executor.settings import ExecutorSettings
from services.executor.starting import Starter
from services.executor.steps import STEP_TYPES
from services.executor.steps.step import Toolbox
from services.executor.store import Store
from services.executor.turns import Turns
from services.executor.watch_servicer import WatchServicer
from services.executor.workers import Workers
from services.platform import log
from services.platform.authenticator import RemoteAuthenticator
from services.platform.bigquery import BigQuery
from services.platform.clock import SystemClock
from services.platform.kms import Kms
from services.platform.peers import peer_channel
from services.platform.server import Served, serve

NAME = "executor"
PREVIEWERS = 2
"""Threads that look at sources for dry runs."""


async def main() -> None:
    """Serves until SIGTERM; then runs may end within the grace period, while their slots are still renewed."""
    settings = ExecutorSettings()
    log.configure(NAME, settings.log_level)
    clock = SystemClock()
    async with (
        LiveCatalog(settings.configs_dir, STEP_TYPES, poll_seconds=settings.template_poll_seconds) as catalog,
        BigQuery(settings, service=NAME) as bq,
        Kms(settings) as kms,
        Workers(settings.max_concurrent_runs) as workers,
        Workers(PREVIEWERS) as previewers,
        peer_channel(settings, caller=NAME, peer="auth", address=settings.auth_address) as auth,
        peer_channel(settings, caller=NAME, peer="credentials", address=settings.credentials_address) as peer,
    ):
        store, ledger = Store(bq, ddl=settings.configs_dir / "bigquery" / "tenant"), Ledger(auth)
        credentials = SealedCredentials(peer, known_seconds=settings.credentials_known_seconds, known_most=settings.credentials_known_most)
        guard = Guard(lambda address: settings.notify_allow_private_targets or is_public(address))
        delivery = Delivery(
            targets=TenantTargets(credentials, kms),
            poster=Poster(guard, ssl.create_default_context(), clock),
            mailer=Mailer(MailServer.of(settings), ssl.create_default_context()),
            clock=clock,
        )
        notifier = Notifier(delivery, Limits.of(settings))
        tools = Toolbox(
            bq=bq,
            store=store,
            staging=StagingTables(bq, clock),
            clouds=TenantClouds(credentials, kms, settings),
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
            at_once=settings.max_concurrent_runs,
            grace_seconds=settings.grace_seconds,
        )
        reconciler = Reconciler(store, ledger, clock)
        keeper = LeaseKeeper(live=live, store=store, ledger=ledger, reconciler=reconciler, lease_seconds=settings.lease_seconds)
        starter = Starter(
            catalog=catalog,
            credentials=credentials,
            ledger=ledger,
            store=store,
            live=live,
            reconciler=reconciler,
            clock=clock,
            lease_seconds=settings.lease_seconds,
        )
        prices = Prices(query=settings.query_usd_per_tib, storage_read=settings.storage_read_usd_per_tib)
        served = [
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
        async with notifier, keeper, live:
            await serve(settings, name=NAME, authenticator=RemoteAuthenticator(auth), served=served)


if __name__ == "__main__":
    asyncio.run(main())
