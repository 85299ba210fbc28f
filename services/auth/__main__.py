"""`python -m services.auth`: settings -> clients -> servicers -> serve."""

import asyncio

from services.auth.service import auth_service
from services.auth.settings import AuthSettings
from services.platform import log
from services.platform.bigquery.client import BigQuery
from services.platform.clock import SystemClock
from services.platform.environment.reading import read
from services.platform.reporting.events import PlatformEvents
from services.platform.server import serve
from services.platform.trace_export.traced import traced

NAME = "auth"


async def main() -> None:
    """Serves until SIGTERM."""
    settings = read(AuthSettings)
    log.configure(NAME, settings.log_level, project=settings.project)
    async with (
        traced(settings, NAME),
        BigQuery(settings, service=NAME) as bq,
        PlatformEvents(bq, SystemClock(), service=NAME, every_seconds=settings.report_flush_seconds) as events,
        auth_service(settings, bq=bq, clock=SystemClock()) as (served, authenticator, audit),
    ):
        await serve(settings, name=NAME, authenticator=authenticator, served=served, audit=audit, record=events.record)


if __name__ == "__main__":
    asyncio.run(main())
