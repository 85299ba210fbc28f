"""`python -m services.scheduler`: settings -> clients -> servicer -> serve."""

import asyncio

from convergence.scheduler.v1 import scheduler_service_pb2_grpc

from services.platform import log
from services.platform.authenticator import RemoteAuthenticator
from services.platform.peers import peer_channel
from services.platform.server import Served, serve
from services.platform.settings import ServiceSettings
from services.scheduler.servicer import SchedulerServicer


async def main() -> None:
    """Serves until it is told to stop."""
    settings = ServiceSettings()
    log.configure("scheduler", settings.log_level)
    served = Served(
        name="convergence.scheduler.v1.SchedulerService",
        add=scheduler_service_pb2_grpc.add_SchedulerServiceServicer_to_server,
        servicer=SchedulerServicer(),
    )
    async with peer_channel(settings, caller="scheduler", peer="auth", address=settings.auth_address) as auth:
        await serve(settings, name="scheduler", authenticator=RemoteAuthenticator(auth), served=[served])


if __name__ == "__main__":
    asyncio.run(main())
