"""`python -m services.auth`: settings -> clients -> servicers -> serve."""

import asyncio
from datetime import timedelta

from convergence.auth.v1 import (
    api_key_service_pb2_grpc,
    authentication_service_pb2_grpc,
    ledger_service_pb2_grpc,
    quota_service_pb2_grpc,
    tenant_service_pb2_grpc,
)

from services.auth.key_holders import LocalAuthenticator
from services.auth.ledger import Ledger
from services.auth.ledger_servicer import LedgerServicer
from services.auth.servicer import ApiKeyServicer, AuthenticationServicer, QuotaServicer, TenantServicer
from services.auth.store import AuthStore
from services.platform import log
from services.platform.bigquery import BigQuery
from services.platform.clock import SystemClock
from services.platform.server import Served, serve
from services.platform.settings import ServiceSettings


async def main() -> None:
    """Serves until it is told to stop."""
    settings, clock = ServiceSettings(), SystemClock()
    log.configure("auth", settings.log_level)
    async with BigQuery(settings, service="auth") as bq:
        store = AuthStore(bq)
        authenticator = LocalAuthenticator(store, clock)
        async with Ledger(store, clock, lease=timedelta(seconds=settings.lease_seconds)) as ledger:
            await serve(
                settings,
                name="auth",
                authenticator=authenticator,
                served=[
                    Served(
                        name="convergence.auth.v1.TenantService",
                        add=tenant_service_pb2_grpc.add_TenantServiceServicer_to_server,
                        servicer=TenantServicer(store, clock),
                    ),
                    Served(
                        name="convergence.auth.v1.ApiKeyService",
                        add=api_key_service_pb2_grpc.add_ApiKeyServiceServicer_to_server,
                        servicer=ApiKeyServicer(store, clock),
                    ),
                    Served(
                        name="convergence.auth.v1.QuotaService",
                        add=quota_service_pb2_grpc.add_QuotaServiceServicer_to_server,
                        servicer=QuotaServicer(ledger),
                    ),
                    Served(
                        name="convergence.auth.v1.AuthenticationService",
                        add=authentication_service_pb2_grpc.add_AuthenticationServiceServicer_to_server,
                        servicer=AuthenticationServicer(authenticator),
                    ),
                    Served(
                        name="convergence.auth.v1.LedgerService",
                        add=ledger_service_pb2_grpc.add_LedgerServiceServicer_to_server,
                        servicer=LedgerServicer(ledger),
                    ),
                ],
            )


if __name__ == "__main__":
    asyncio.run(main())
