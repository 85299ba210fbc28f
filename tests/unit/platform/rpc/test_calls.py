"""The interceptors around a call, through a real server: no exception text leaks, and a deadline is answered with our own error."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from convergence.auth.v1 import quota_service_pb2 as messages
from convergence.auth.v1.quota_service_pb2_grpc import QuotaServiceServicer, QuotaServiceStub, add_QuotaServiceServicer_to_server
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.platform.access.key_holder import KeyHolder
from services.platform.errors import ResourceExhausted
from services.platform.plan import PlanLimits
from services.platform.rpc import report
from services.platform.rpc.calls import Call, InterceptedHandlers, Rpc, Step
from services.platform.server import Served
from services.platform.settings import ServiceSettings
from tests.conftest import channel_as, serving

type Context = grpc.aio.ServicerContext[Any, Any]
REQUEST = messages.GetQuotaRequest(tenant_id="acme_corp")
KEY = [("x-api-key", "whatever")]


class Everybody:
    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        return KeyHolder(tenant_id="acme_corp", api_key_id=api_key_sha256, scopes=(), tenant_active=True, subscription_active=True)


TWO = PlanLimits(requests_per_minute=2)


class Two(Everybody):
    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        return replace(await super().authenticate(api_key_sha256), limits=TWO)


class Answering(QuotaServiceServicer):
    async def GetQuota(self, request: messages.GetQuotaRequest, context: Context) -> messages.GetQuotaResponse:
        return messages.GetQuotaResponse(tenant_id=request.tenant_id)

    async def ResetDailyQuotas(self, request: messages.ResetDailyQuotasRequest, context: Context) -> messages.ResetDailyQuotasResponse:
        raise NotImplementedError


class Broken(QuotaServiceServicer):
    """Waits for ever where the caller has a deadline, and breaks where it has none."""

    async def GetQuota(self, request: messages.GetQuotaRequest, context: Context) -> messages.GetQuotaResponse:
        if context.time_remaining() is not None:
            await asyncio.Event().wait()
        raise RuntimeError("password=hunter2")

    async def ResetDailyQuotas(self, request: messages.ResetDailyQuotasRequest, context: Context) -> messages.ResetDailyQuotasResponse:
        raise NotImplementedError


@pytest.fixture(scope="module")
async def stub(plain_settings: ServiceSettings) -> AsyncIterator[QuotaServiceStub]:
    served = Served(name="convergence.auth.v1.QuotaService", add=add_QuotaServiceServicer_to_server, servicer=Broken())
    async with (
        serving(plain_settings, name="auth", authenticator=Everybody(), served=[served]) as address,
        channel_as(plain_settings, caller="gateway", peer="auth", address=address) as channel,
    ):
        yield QuotaServiceStub(channel)


async def refusal(call: Any) -> tuple[grpc.StatusCode, str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    status = rpc_status.from_call(refused.value)
    assert status is not None, refused.value
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return refused.value.code(), info.reason, refused.value.details() or ""


async def test_an_exceptions_text_never_reaches_the_caller(stub: QuotaServiceStub) -> None:
    code, reason, message = await refusal(stub.GetQuota(REQUEST, metadata=[*KEY, ("x-request-id", "request-7")]))
    assert (code, reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "request-7" in message
    assert "hunter2" not in message


async def test_a_deadline_is_answered_before_it_passes(stub: QuotaServiceStub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "DEADLINE_MARGIN", 4.7)  # so that neither this test waits long nor its machine need be fast
    code, reason, _ = await refusal(stub.GetQuota(REQUEST, metadata=KEY, timeout=5))
    assert (code, reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "SERVICE_TIMEOUT")


async def test_bytes_that_are_no_message_are_a_bad_request(stub: QuotaServiceStub, plain_settings: ServiceSettings) -> None:
    """Not UNKNOWN with Python's own words, as gRPC would have it."""
    served = Served(name="convergence.auth.v1.QuotaService", add=add_QuotaServiceServicer_to_server, servicer=Broken())
    async with (
        serving(plain_settings, name="auth", authenticator=Everybody(), served=[served]) as address,
        channel_as(plain_settings, caller="gateway", peer="auth", address=address) as channel,
    ):
        code, reason, _ = await refusal(channel.unary_unary("/convergence.auth.v1.QuotaService/GetQuota")(b"\xff\xff\xff", metadata=KEY))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_FIELD")


@pytest.mark.parametrize(("wait", "heard"), [(None, None), (0.0, "1"), (0.2, "1"), (59.0, "59"), (59.001, "60"), (86400.0, "86400")])
async def test_how_long_to_wait_is_said_to_rest_clients_too(plain_settings: ServiceSettings, wait: float | None, heard: str | None) -> None:
    """In whole seconds, never too early; the gateway passes the metadata on as a header."""

    class Full(Broken):
        async def GetQuota(self, request: messages.GetQuotaRequest, context: Context) -> messages.GetQuotaResponse:
            after = None if wait is None else timedelta(seconds=wait)
            raise ResourceExhausted("DAILY_LIMIT_REACHED", "Come back tomorrow.", retry_after=after)

    served = Served(name="convergence.auth.v1.QuotaService", add=add_QuotaServiceServicer_to_server, servicer=Full())
    async with (
        serving(plain_settings, name="auth", authenticator=Everybody(), served=[served]) as address,
        channel_as(plain_settings, caller="gateway", peer="auth", address=address) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await QuotaServiceStub(channel).GetQuota(REQUEST, metadata=KEY)
    assert dict(refused.value.trailing_metadata() or ()).get("retry-after") == heard


async def test_a_query_that_would_be_dropped_is_refused(stub: QuotaServiceStub) -> None:
    metadata = [*KEY, ("x-envoy-original-path", "/api/v1/tenants/acme_corp/quota?tenant_id=other")]
    code, reason, message = await refusal(stub.GetQuota(REQUEST, metadata=metadata))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_FIELD")
    assert message.startswith("tenant_id: is already in the path")


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("X-API-Key", ["whatever", "another"]),
        ("X-API-Key", ["same", "same"]),
        ("X-Admin-Key", ["a", "b"]),
        ("Authorization", ["Bearer a", "b"]),
    ],
)
async def test_a_credential_that_is_sent_twice_is_refused(stub: QuotaServiceStub, header: str, values: list[str]) -> None:
    code, reason, message = await refusal(stub.GetQuota(REQUEST, metadata=[(header.lower(), value) for value in values]))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_FIELD")
    assert message == f"{header}: is sent more than once. Send this header once, with one value."


async def test_an_interceptor_is_asked_once_for_each_rpc_and_is_not_there_where_it_does_nothing() -> None:
    asked, passed = list[str](), list[str]()

    def around(rpc: Rpc, proceed: Step) -> Step:
        asked.append(rpc.path)

        async def step(call: Call) -> Any:
            passed.append(call.metadata["name"])
            return await proceed(call)

        return step if rpc.path.endswith("GetQuota") else proceed

    one: Any = grpc.unary_unary_rpc_method_handler(Answering().GetQuota, messages.GetQuotaRequest.FromString)
    handlers = InterceptedHandlers([around])
    handlers.add_registered_method_handlers("a.B", {"GetQuota": one, "Other": one})
    for path in ("/a.B/GetQuota", "/a.B/Other", "/a.B/GetQuota"):
        sent = [("Name", "last"), ("name", "first"), ("name", "last"), ("raw-bin", b"")]
        handler: Any = handlers.service(SimpleNamespace(method=path, invocation_metadata=sent))
        context = SimpleNamespace()
        assert await handler.unary_unary(REQUEST.SerializeToString(), context) == messages.GetQuotaResponse(tenant_id="acme_corp")
    assert (asked, passed) == (["/a.B/GetQuota", "/a.B/Other"], ["last", "last"])
    assert handlers.service(SimpleNamespace(method="/a.B/Unknown", invocation_metadata=())) is None


async def test_a_stream_whose_message_cannot_be_sent_is_closed_at_once() -> None:
    """Not when Python gets round to it: a watcher that has left makes room for the next."""
    closed = asyncio.Event()

    async def stream(request: Any, context: Any) -> AsyncIterator[messages.GetQuotaResponse]:
        try:
            yield messages.GetQuotaResponse()
        finally:
            closed.set()

    async def write(_: messages.GetQuotaResponse) -> None:
        raise ConnectionError

    handlers = InterceptedHandlers([])
    watch: Any = grpc.unary_stream_rpc_method_handler(stream, messages.GetQuotaRequest.FromString)
    handlers.add_registered_method_handlers("a.B", {"Watch": watch})
    handler: Any = handlers.service(SimpleNamespace(method="/a.B/Watch", invocation_metadata=()))
    with pytest.raises(ConnectionError):
        await handler.unary_stream(REQUEST.SerializeToString(), SimpleNamespace(write=write))
    assert closed.is_set()


async def test_an_answer_and_a_refusal_say_what_is_left_of_the_limit(plain_settings: ServiceSettings) -> None:
    """As metadata behind the answer, or with the refusal; and who may not call at all is counted, too."""
    served = Served(name="convergence.auth.v1.QuotaService", add=add_QuotaServiceServicer_to_server, servicer=Answering())
    async with (
        serving(plain_settings, name="auth", authenticator=Two(), served=[served]) as address,
        channel_as(plain_settings, caller="gateway", peer="auth", address=address) as channel,
    ):
        stub = QuotaServiceStub(channel)
        answer = stub.GetQuota(REQUEST, metadata=KEY)
        assert (await answer).tenant_id == "acme_corp"
        behind = dict(await answer.trailing_metadata())
        assert (behind["ratelimit-policy"], behind["ratelimit"]) == ('"default";q=2;w=60', '"default";r=1;t=30')

        code, reason, _ = await refusal(stub.GetQuota(messages.GetQuotaRequest(tenant_id="another"), metadata=KEY))
        assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "TENANT_MISMATCH")

        limited = stub.GetQuota(REQUEST, metadata=KEY)
        assert await refusal(limited) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "RATE_LIMITED",
            "More than 2 calls a minute. Wait as Retry-After says, and spread the calls.",
        )
        trailers = dict(await limited.trailing_metadata())
        assert (trailers["ratelimit-policy"], trailers["ratelimit"]) == ('"default";q=2;w=60', '"default";r=0;t=30')
        assert trailers["retry-after"] == "30"
