"""`python -m services.scheduler`: settings -> clients -> servicers -> serve."""

import asyncio

from services.platform import log
from services.platform.access.authenticator import RemoteAuthenticator
from services.platform.audit.delivery import to_auth
from services.platform.bigquery.client import BigQuery
from services.platform.clock import SystemClock
from services.platform.environment.reading import read
from services.platform.reporting.events import PlatformEvents
from services.platform.rpc.peers import peer_channel
from services.platform.server import serve
from services.platform.trace_export.traced import traced
from services.scheduler.offboarding.peers import Peers
from services.scheduler.service import scheduler_service
from services.scheduler.settings import SchedulerSettings

NAME = "scheduler"


async def main() -> None:
    """Serves until SIGTERM; then expires its leases, so that another process takes over its claims."""
    settings = read(SchedulerSettings)
    log.configure(NAME, settings.log_level, project=settings.project)
    async with (
        traced(settings, NAME),
        BigQuery(settings, service=NAME) as bq,
        PlatformEvents(bq, SystemClock(), service=NAME, every_seconds=settings.report_flush_seconds) as events,
        peer_channel(settings, caller=NAME, peer="auth", address=settings.auth_address) as auth,
        peer_channel(settings, caller=NAME, peer="executor", address=settings.executor_address) as executor,
        peer_channel(settings, caller=NAME, peer="credentials", address=settings.credentials_address) as credentials,
        scheduler_service(
            settings, bq=bq, peers=Peers(auth=auth, credentials=credentials, executor=executor), clock=SystemClock(), record=events.record
        ) as served,
    ):
        await serve(settings, name=NAME, authenticator=RemoteAuthenticator(auth), served=served, audit=to_auth(auth), record=events.record)


if __name__ == "__main__":
    asyncio.run(main())
