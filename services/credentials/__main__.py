"""`python -m services.credentials`: settings -> clients -> servicers -> serve."""

import asyncio

from convergence.credentials.v1 import credential_service_pb2_grpc, sealed_credential_service_pb2_grpc

from services.credentials.dataset_access import DatasetAccess
from services.credentials.datasets import TenantDatasets
from services.credentials.lifecycle import Lifecycle
from services.credentials.servicer import CredentialServicer, SealedCredentialServicer
from services.credentials.settings import CredentialsSettings
from services.credentials.store import CredentialStore
from services.platform import log
from services.platform.authenticator import RemoteAuthenticator
from services.platform.bigquery import BigQuery
from services.platform.clock import SystemClock
from services.platform.kms import Kms
from services.platform.peers import peer_channel
from services.platform.server import Served, serve


async def main() -> None:
    """Serves until it is told to stop."""
    settings = CredentialsSettings()
    log.configure("credentials", settings.log_level)
    channel = peer_channel(settings, caller="credentials", peer="auth", address=settings.auth_address)
    async with channel, BigQuery(settings, service="credentials") as bq, Kms(settings) as kms:
        store = CredentialStore(bq)
        access = DatasetAccess(writers=settings.dataset_writers, owners=settings.dataset_owners)
        datasets = TenantDatasets(bq, location=settings.location, ddl=settings.configs_dir / "bigquery" / "tenant", access=access)
        await serve(
            settings,
            name="credentials",
            authenticator=RemoteAuthenticator(channel),
            served=[
                Served(
                    name="convergence.credentials.v1.CredentialService",
                    add=credential_service_pb2_grpc.add_CredentialServiceServicer_to_server,
                    servicer=CredentialServicer(Lifecycle(store, datasets, kms, SystemClock()), store),
                ),
                Served(
                    name="convergence.credentials.v1.SealedCredentialService",
                    add=sealed_credential_service_pb2_grpc.add_SealedCredentialServiceServicer_to_server,
                    servicer=SealedCredentialServicer(store),
                ),
            ],
        )


if __name__ == "__main__":
    asyncio.run(main())
