"""`python -m services.credentials`: settings -> clients -> servicers -> serve."""

import asyncio
from contextlib import nullcontext

from services.clouds.check_pool import CheckPool
from services.credentials.datasets import AuthLocations
from services.credentials.reencrypt.store import KeyVersionStore
from services.credentials.reencrypt.watch import KeyVersionWatch
from services.credentials.service import served
from services.credentials.settings import CredentialsSettings
from services.platform import log
from services.platform.access.authenticator import RemoteAuthenticator
from services.platform.audit.delivery import to_auth
from services.platform.bigquery.client import BigQuery
from services.platform.clock import SystemClock
from services.platform.environment.reading import read
from services.platform.kms.client import Kms
from services.platform.kms.signer import KmsSigner
from services.platform.periodic import Periodic
from services.platform.reporting.events import PlatformEvents
from services.platform.rpc.peers import peer_channel
from services.platform.server import serve
from services.platform.trace_export.traced import traced

CHECKS = 8
"""Threads in which credentials are tried before they are stored."""


async def main() -> None:
    """Serves until SIGTERM."""
    settings = read(CredentialsSettings)
    log.configure("credentials", settings.log_level, project=settings.project)
    channel = peer_channel(settings, caller="credentials", peer="auth", address=settings.auth_address)
    signing = KmsSigner(settings, key=settings.token_signing_key) if settings.token_signing_key else nullcontext()
    async with (
        traced(settings, "credentials"),
        channel,
        BigQuery(settings, service="credentials") as bq,
        PlatformEvents(bq, SystemClock(), service="credentials", every_seconds=settings.report_flush_seconds),
        Kms(settings) as kms,
        signing as signer,
        CheckPool(threads=CHECKS) as checks,
    ):
        locations = AuthLocations(channel, usual=settings.location)
        answering = served(settings, bq=bq, kms=kms, locations=locations, signer=signer, checks=checks, clock=SystemClock())
        watch = KeyVersionWatch(KeyVersionStore(bq), keys=settings.kms_keys, minimum=settings.min_key_version)
        surveys = (
            Periodic("key_survey", (watch.look_quietly, settings.key_survey_seconds)) if settings.key_survey_seconds else nullcontext()
        )
        async with surveys:
            await serve(settings, name="credentials", authenticator=RemoteAuthenticator(channel), served=answering, audit=to_auth(channel))


if __name__ == "__main__":
    asyncio.run(main())
