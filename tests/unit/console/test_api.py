"""How the console calls the gateway: as whom, and where."""

from http import HTTPStatus

import httpx
import pytest
from pydantic import SecretStr

from console.gateway.api import Api, Credential
from console.gateway.errors import GatewayError

RUN = "/api/v1/pipelines/runs/{tenant_id}/{pipeline_logging_id}"
SECRET = "a-token"


class Answers:
    """Stands where the gateway is, and keeps what it was asked."""

    def __init__(self, answer: httpx.Response | Exception) -> None:
        self.answer = answer
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def api(self, tenant_id: str | None = "acme") -> Api:
        http = httpx.AsyncClient(base_url="http://gateway", transport=httpx.MockTransport(self))
        return Api(http, Credential.of_token(SecretStr(SECRET), tenant_id))


async def test_the_tenant_is_the_session_s_whatever_is_given() -> None:
    gateway = Answers(httpx.Response(200, json={"a": 1}))
    names = {"tenant_id": "other", "pipeline_logging_id": "1/../../x?y#z"}
    assert await gateway.api().get(RUN, names, query={"status": "", "page": 2, "none": None}) == {"a": 1}
    [request] = gateway.asked
    assert request.url.raw_path == b"/api/v1/pipelines/runs/acme/1%2F..%2F..%2Fx%3Fy%23z?page=2"
    assert request.headers["Authorization"] == f"Bearer {SECRET}"


async def test_an_operator_names_the_tenant() -> None:
    gateway = Answers(httpx.Response(200, json={}))
    await gateway.api(tenant_id=None).post("/api/v1/tenants/{tenant_id}:suspend", {"tenant_id": "acme"}, idempotency_key="k")
    [request] = gateway.asked
    assert (request.url.path, request.content, request.headers["Idempotency-Key"]) == ("/api/v1/tenants/acme:suspend", b"{}", "k")


@pytest.mark.parametrize("name", ["", ".", ".."])
async def test_a_name_that_would_change_the_path_is_nothing(name: str) -> None:
    gateway = Answers(httpx.Response(200, json={}))
    with pytest.raises(GatewayError) as error:
        await gateway.api().get(RUN, {"pipeline_logging_id": name})
    assert (error.value.status, gateway.asked) == (HTTPStatus.NOT_FOUND, [])


@pytest.mark.parametrize("fault", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut")])
async def test_a_gateway_that_is_away_is_an_error_that_passes(fault: Exception) -> None:
    with pytest.raises(GatewayError) as error:
        await Answers(fault).api().get("/x")
    assert (error.value.reason, error.value.is_passing) == ("GATEWAY_UNREACHABLE", True)


async def test_an_answer_that_is_no_object_is_an_error() -> None:
    with pytest.raises(GatewayError) as error:
        await Answers(httpx.Response(200, text="<html>")).api().get("/x")
    assert error.value.status == HTTPStatus.BAD_GATEWAY


def test_a_credential_shows_no_secret() -> None:
    credential = Credential.of_key(SecretStr("acme_api_v1_x"), "acme")
    assert "acme_api_v1_x" not in f"{credential!r}{credential}"
