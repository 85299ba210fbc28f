"""`python -m services.auth`: settings -> clients -> servicers -> serve."""

import asyncio

from services.auth.authenticator import LocalAuthenticator
from services.auth.key_change_feed import KeyChangeFeed
from services.auth.key_usage import KeyUsage
from services.auth.ledger import Ledger
from services.auth.service import served
from services.auth.settings import AuthSettings
from services.auth.store import AuthStore
from services.platform import log
from services.platform.bigquery.client import BigQuery
from services.platform.clock import SystemClock
from services.platform.server import serve


async def main() -> None:
    """Serves until it is told to stop."""
    settings, clock = AuthSettings(), SystemClock()
    log.configure("auth", settings.log_level)
    async with BigQuery(settings, service="auth") as bq:
        store = AuthStore(bq)
        async with (
            KeyUsage(store, clock, seconds=settings.key_usage_seconds) as usage,
            Ledger.of(store, clock, settings) as ledger,
        ):
            changes = KeyChangeFeed()
            authenticator = LocalAuthenticator(store, clock, usage, changes)
            await serve(settings, name="auth", authenticator=authenticator, served=served(store, ledger, authenticator, clock, changes))


if __name__ == "__main__":
    asyncio.run(main())
