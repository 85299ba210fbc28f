"""Runs that are followed request by request: auth, credentials and the executor inside the test process, each with its clients behind the
recording proxies of `benchmarks/latency`.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from convergence.executor.v1.pipeline_service_pb2 import RunPipelineRequest
from convergence.executor.v1.pipeline_service_pb2_grpc import PipelineServiceStub

from benchmarks.crowd import Member
from benchmarks.latency.path import Walked, walked
from benchmarks.latency.recorder import Recorder
from benchmarks.latency.rest import rest_proxy
from benchmarks.latency.storage import storage_proxy
from benchmarks.latency.times import AT_ONCE, Times
from localcloud.settings import LocalSettings
from services.auth.service import auth_service
from services.auth.settings import AuthSettings
from services.clouds.check_pool import CheckPool
from services.credentials import service as credentials_service
from services.credentials.datasets import AuthLocations
from services.credentials.settings import CredentialsSettings
from services.executor.service import executor_service
from services.executor.settings import ExecutorSettings
from services.platform.access.authenticator import RemoteAuthenticator
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.clock import SystemClock
from services.platform.kms.client import Kms
from services.platform.rpc.peers import peer_channel
from services.platform.settings import ServiceSettings
from tests.conftest import channel_as, serving

CALLERS = ("auth", "credentials", "executor")
POLL_SECONDS = 0.2
QUIET_SECONDS = 0.3
RUN_SECONDS = 90.0
_STATUS = "SELECT status, error_message FROM x_meta_pipeline_runs WHERE pipeline_logging_id = @run"


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowedServices:
    """The three services; nothing that they look up is known when they are new."""

    recorder: Recorder
    auth: grpc.aio.Channel
    credentials: grpc.aio.Channel
    executor: grpc.aio.Channel
    """Of the gateway to each of them."""
    bq: BigQuery
    """A client that passes the proxies by."""

    async def follow(self, member: Member, times: Times, **parameters: str) -> Walked:
        """One RunPipeline of gcp/cost/billing with these times, from the call until it is over. Raises RuntimeError unless it COMPLETED."""
        request = RunPipelineRequest(tenant_id=member.tenant_id, provider="gcp", domain="cost", template="billing")
        request.parameters.update(parameters)
        self.recorder.times = times
        called = time.monotonic()
        metadata = [("x-api-key", member.api_key)]
        answer = await PipelineServiceStub(self.executor).RunPipeline(request, metadata=metadata, timeout=RUN_SECONDS)
        answered = time.monotonic()
        await self._completed(member.tenant_id, answer.pipeline_logging_id)
        await self._quiet()
        self.recorder.times = AT_ONCE
        return walked(self.recorder.since(called), called=called, answered=answered)

    async def _completed(self, tenant_id: str, run: str) -> None:
        block = make_block("test_status", _STATUS, {"run": "STRING"})
        async with asyncio.timeout(RUN_SECONDS):
            while (row := (await self.bq.query(block, {"run": run}, dataset=self.bq.tenant(tenant_id))).only_row)["status"] == "RUNNING":
                await asyncio.sleep(POLL_SECONDS)
        if row["status"] != "COMPLETED":
            raise RuntimeError(f"the run ended {row}")

    async def _quiet(self) -> None:
        """Returns when what the run has left behind is done."""
        since = time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            await asyncio.sleep(POLL_SECONDS / 10)
            if not self.recorder.is_idle:
                since = time.monotonic()


@asynccontextmanager
async def followed_services(
    settings: ServiceSettings, emulators: LocalSettings, bq: BigQuery, spool: Path
) -> AsyncIterator[FollowedServices]:
    """Serves until the end. `settings`: of the emulators, which `bq` reaches without the proxies."""
    recorder, clock = Recorder(), SystemClock()
    async with AsyncExitStack() as stack:
        urls = stack.enter_context(rest_proxy(recorder, upstream=emulators.address("bigquery"), callers=CALLERS))
        storage = stack.enter_context(storage_proxy(recorder, upstream=emulators.address("bigquery_storage")))

        def own[Settings: ServiceSettings](kind: type[Settings], name: str, **more: object) -> Settings:
            proxied = {"bigquery_emulator_host": urls[name], "bigquery_storage_emulator_host": storage}
            return kind.model_validate({**settings.model_dump(), "listen": "127.0.0.1:0", **proxied, **more})

        kms = await stack.enter_async_context(Kms(settings))
        auth_settings = own(AuthSettings, "auth")
        auth_bq = await stack.enter_async_context(BigQuery(auth_settings, service="auth"))
        served, authenticator, _ = await stack.enter_async_context(auth_service(auth_settings, bq=auth_bq, clock=clock))
        auth = await stack.enter_async_context(serving(auth_settings, name="auth", authenticator=authenticator, served=served))

        def to_auth(caller: str) -> grpc.aio.Channel:
            return peer_channel(settings, caller=caller, peer="auth", address=auth)

        credentials_settings = own(CredentialsSettings, "credentials")
        credentials_bq = await stack.enter_async_context(BigQuery(credentials_settings, service="credentials"))
        checks = await stack.enter_async_context(CheckPool(threads=1))
        from_credentials = await stack.enter_async_context(to_auth("credentials"))
        remote, locations = RemoteAuthenticator(from_credentials), AuthLocations(from_credentials, usual=settings.location)
        served = credentials_service.served(
            credentials_settings, bq=credentials_bq, kms=kms, locations=locations, signer=None, checks=checks, clock=clock
        )
        credentials = await stack.enter_async_context(
            serving(credentials_settings, name="credentials", authenticator=remote, served=served)
        )

        executor_settings = own(ExecutorSettings, "executor", spool_dir=spool)
        executor_bq = await stack.enter_async_context(BigQuery(executor_settings, service="executor"))
        channel = await stack.enter_async_context(to_auth("executor"))
        to_credentials = await stack.enter_async_context(peer_channel(settings, caller="executor", peer="credentials", address=credentials))
        executor_served = await stack.enter_async_context(
            executor_service(executor_settings, bq=executor_bq, kms=kms, auth=channel, credentials=to_credentials, clock=clock)
        )
        executor = await stack.enter_async_context(
            serving(executor_settings, name="executor", authenticator=RemoteAuthenticator(channel), served=executor_served)
        )
        served_at = {"auth": auth, "credentials": credentials, "executor": executor}
        gateway = {
            peer: await stack.enter_async_context(channel_as(settings, caller="gateway", peer=peer, address=address))
            for peer, address in served_at.items()
        }
        yield FollowedServices(recorder=recorder, bq=bq, **gateway)
