"""`python -m services.credentials`: settings -> clients -> servicers -> serve."""

import asyncio

from services.clouds.check_pool import CheckPool
from services.credentials.service import served
from services.credentials.settings import CredentialsSettings
from services.platform import log
from services.platform.access.authenticator import RemoteAuthenticator
from services.platform.bigquery.client import BigQuery
from services.platform.clock import SystemClock
from services.platform.kms.client import Kms
from services.platform.rpc.peers import peer_channel
from services.platform.server import serve

CHECKS = 8
"""Threads in which credentials are tried before they are stored."""


async def main() -> None:
    """Serves until SIGTERM."""
    settings = CredentialsSettings()
    log.configure("credentials", settings.log_level)
    channel = peer_channel(settings, caller="credentials", peer="auth", address=settings.auth_address)
    async with channel, BigQuery(settings, service="credentials") as bq, Kms(settings) as kms, CheckPool(threads=CHECKS) as checks:
        authenticator, answering = RemoteAuthenticator(channel), served(settings, bq, kms, checks, SystemClock())
        await serve(settings, name="credentials", authenticator=authenticator, served=answering)


if __name__ == "__main__":
    asyncio.run(main())
