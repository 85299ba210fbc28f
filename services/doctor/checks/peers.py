"""Whether a service can talk to those that it calls: address, mutual TLS, health."""

import asyncio
from collections.abc import Mapping

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.doctor.finding import Finding, NotChecked
from services.doctor.world import World
from services.platform.settings import ServiceSettings
from services.platform.tls.files import TlsFiles, read

CALLS = {
    "auth": (),
    "credentials": ("auth",),
    "executor": ("auth", "credentials"),
    "scheduler": ("auth", "credentials", "executor"),
}
"""Which services a service calls."""
SECONDS = 5.0


async def look(world: World) -> list[Finding]:
    """Asks each peer's health service, with the certificate of a service that calls it."""
    callers = {peer: caller for caller in world.names for peer in CALLS[caller]}
    if not callers:
        raise NotChecked("auth calls no other service")
    try:
        files = {caller: read(world.settings.tls_dir, caller) for caller in callers.values()}
    except OSError:
        raise NotChecked("first mend certificate-missing") from None
    answers = await asyncio.gather(*(_health(world.settings, peer, files[caller]) for peer, caller in callers.items()))
    return judge({peer: (callers[peer], answer) for peer, answer in zip(callers, answers, strict=True)}, world.settings)


def judge(answers: Mapping[str, tuple[str, str]], settings: ServiceSettings) -> list[Finding]:
    """`answers`: by peer, who called it and what is wrong; empty: nothing. Pure."""
    return [
        Finding(
            name="service-not-serving",
            subject=peer,
            problem=f"{caller} cannot use {peer} at {address_of(settings, peer)}: {problem}.",
            mend=f"kubectl logs deployment/{peer} --tail=50   # and check CONVERGENCE_{peer.upper()}_ADDRESS; on a laptop: make up",
        )
        for peer, (caller, problem) in answers.items()
        if problem
    ]


def address_of(settings: ServiceSettings, peer: str) -> str:
    """Where the settings say that it is."""
    address: str = getattr(settings, f"{peer}_address")
    return address


async def _health(settings: ServiceSettings, peer: str, files: TlsFiles) -> str:
    """What is wrong; empty: it is SERVING."""
    credentials = grpc.ssl_channel_credentials(files.authorities, files.key, files.certificate)
    options = [("grpc.ssl_target_name_override", f"{peer}.convergence.internal"), ("grpc.enable_http_proxy", 0)]
    async with grpc.aio.secure_channel(address_of(settings, peer), credentials, options=options) as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name}, {error.details()}"
    serving = health_pb2.HealthCheckResponse.SERVING
    return "" if answer.status == serving else "it is up, but not ready (its health is not SERVING)"
