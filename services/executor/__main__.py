"""`python -m services.executor`: settings -> clients -> servicers -> serve."""

import asyncio

from services.executor.service import executor_service
from services.executor.settings import ExecutorSettings
from services.platform import log
from services.platform.access.authenticator import RemoteAuthenticator
from services.platform.audit.delivery import to_auth
from services.platform.bigquery.client import BigQuery
from services.platform.clock import SystemClock
from services.platform.environment.reading import read
from services.platform.kms.client import Kms
from services.platform.reporting.events import PlatformEvents
from services.platform.rpc.peers import peer_channel
from services.platform.server import serve
from services.platform.trace_export.traced import traced

NAME = "executor"


async def main() -> None:
    """Serves until SIGTERM; then lets runs end within the grace period."""
    settings = read(ExecutorSettings)
    log.configure(NAME, settings.log_level, project=settings.project)
    async with (
        traced(settings, NAME),
        BigQuery(settings, service=NAME) as bq,
        PlatformEvents(bq, SystemClock(), service=NAME, every_seconds=settings.report_flush_seconds) as events,
        Kms(settings) as kms,
        peer_channel(settings, caller=NAME, peer="auth", address=settings.auth_address) as auth,
        peer_channel(settings, caller=NAME, peer="credentials", address=settings.credentials_address) as credentials,
        executor_service(settings, bq=bq, kms=kms, auth=auth, credentials=credentials, clock=SystemClock(), record=events.record) as served,
    ):
        await serve(settings, name=NAME, authenticator=RemoteAuthenticator(auth), served=served, audit=to_auth(auth), record=events.record)


if __name__ == "__main__":
    asyncio.run(main())
