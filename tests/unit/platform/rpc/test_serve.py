"""`serve` itself: it subscribes to auth's changes while it serves, and stops normally."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import requests
from convergence.auth.v1 import quota_service_pb2 as messages
from convergence.auth.v1.quota_service_pb2_grpc import QuotaServiceServicer, QuotaServiceStub, add_QuotaServiceServicer_to_server

from localcloud.ports import free_ports
from services.platform.access.key_holder import KeyHolder
from services.platform.access.sessions.session import Session
from services.platform.audit.entry import AuditEntry
from services.platform.server import Served, serve
from services.platform.settings import ServiceSettings
from tests.conftest import channel_as

REQUEST = messages.GetQuotaRequest(tenant_id="acme_corp")


class Auth:
    """Counts the calls, and answers as the test has set."""

    def __init__(self) -> None:
        self.asked = Counter[str]()
        self.changed = asyncio.Queue[str]()

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        self.asked[api_key_sha256] += 1
        return KeyHolder(tenant_id="acme_corp", api_key_id="k", scopes=(), tenant_active=True, subscription_active=True)

    async def authenticate_session(self, session_token: str) -> Session:
        raise NotImplementedError

    async def changes(self) -> AsyncIterator[str]:
        while True:
            yield await self.changed.get()
            # Here the next change is asked for, so the one before has been dealt with.
            self.changed.task_done()


async def stores(entries: Sequence[AuditEntry], *, urgent: bool) -> None:
    """Takes what is recorded."""


class Quotas(QuotaServiceServicer):
    async def GetQuota(self, request: messages.GetQuotaRequest, context: Any) -> messages.GetQuotaResponse:
        return messages.GetQuotaResponse()

    async def ResetDailyQuotas(self, request: messages.ResetDailyQuotasRequest, context: Any) -> messages.ResetDailyQuotasResponse:
        raise NotImplementedError


async def test_what_auth_says_has_changed_is_asked_for_again_and_nothing_else(plain_settings: ServiceSettings) -> None:
    settings = plain_settings.model_copy(update={"listen": f"127.0.0.1:{free_ports(1)[0]}", "key_cache_seconds": 600.0})
    served = Served(name="convergence.auth.v1.QuotaService", add=add_QuotaServiceServicer_to_server, servicer=Quotas())
    auth = Auth()
    serving = asyncio.create_task(serve(settings, name="auth", authenticator=auth, served=[served], audit=stores))
    try:
        async with channel_as(settings, caller="gateway", peer="auth", address=settings.listen) as channel:

            async def asked_in_all() -> int:
                await QuotaServiceStub(channel).GetQuota(REQUEST, metadata=[("x-api-key", "whatever")], wait_for_ready=True)
                return auth.asked.total()

            found = [await asked_in_all(), await asked_in_all()]
            for changed in ("globex", "acme_corp", ""):
                auth.changed.put_nowait(changed)
                await auth.changed.join()
                found.append(await asked_in_all())
        assert found == [1, 1, 1, 2, 3]
    finally:
        signal.raise_signal(signal.SIGTERM)
        await serving
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)


class Slow(Quotas):
    """Answers only once the service is stopping, so that it is still there to be looked at."""

    def __init__(self) -> None:
        self.called, self.stopping = asyncio.Event(), asyncio.Event()

    async def GetQuota(self, request: messages.GetQuotaRequest, context: Any) -> messages.GetQuotaResponse:
        self.called.set()
        await self.stopping.wait()
        return messages.GetQuotaResponse()


async def test_a_probe_without_a_certificate_hears_how_the_service_is(plain_settings: ServiceSettings) -> None:
    """Over plain HTTP on the metrics port: 200 while it serves, 503 as soon as it is stopping; metrics beside it."""
    port, metrics_port = free_ports(2)
    settings = plain_settings.model_copy(update={"listen": f"127.0.0.1:{port}", "metrics_port": metrics_port})
    slow = Slow()
    served = Served(name="convergence.auth.v1.QuotaService", add=add_QuotaServiceServicer_to_server, servicer=slow)
    serving = asyncio.create_task(serve(settings, name="auth", authenticator=Auth(), served=[served], audit=stores))

    async def get(path: str) -> tuple[int, str]:
        answer = await asyncio.to_thread(requests.get, f"http://127.0.0.1:{metrics_port}{path}", timeout=5)
        return answer.status_code, answer.text

    async with channel_as(settings, caller="gateway", peer="auth", address=settings.listen) as channel:
        call = QuotaServiceStub(channel).GetQuota(REQUEST, metadata=[("x-api-key", "whatever")], wait_for_ready=True)
        await slow.called.wait()
        assert await get("/healthz") == (200, '{"status": "SERVING"}')
        assert "convergence_rpc" in (await get("/metrics"))[1]
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            while await get("/healthz") != (503, '{"status": "NOT_SERVING"}'):
                await asyncio.sleep(0.02)
        slow.stopping.set()
        await call
        await serving
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)
