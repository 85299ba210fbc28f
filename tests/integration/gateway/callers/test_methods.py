"""A path that is called with a method which it does not take says which ones it takes."""

import re
from collections import defaultdict

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway.public_rpcs import public_rpcs
from gateway.settings import GatewaySettings
from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.test_refusals import refusal
from tests.integration.gateway.upstream import Upstream

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
QUOTA = "/api/v1/tenants/acme/quota"


RPCS = public_rpcs(GatewaySettings().descriptor)


def paths() -> dict[str, set[str]]:
    """The methods of each path of the protos."""
    found = defaultdict[str, set[str]](set)
    for rpc in RPCS:
        found[rpc.template.replace("{", "").replace("}", "")] |= {rpc.verb} | ({"HEAD"} if rpc.verb == "GET" and not rpc.streams else set())
    return found


def is_another_s(method: str, path: str) -> bool:
    """To the transcoder `DELETE .../{api_key_id}:rotate` deletes a key of that name."""
    return any(rpc.verb == method and re.fullmatch(rpc.pattern, path) for rpc in RPCS)


async def test_every_path_names_its_methods_to_who_sends_another(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    for path, methods in paths().items():
        for method in {one for one in METHODS - methods - {"HEAD"} if not is_another_s(one, path)}:
            answer = await gateway.keyless(method, path)
            status, code, reason, message = refusal(answer)
            assert (status, code, reason) == (405, 12, "METHOD_NOT_ALLOWED"), path
            assert set(answer.headers["allow"].split(", ")) == methods, path
            assert message == f"This path takes {answer.headers['allow']}, not {method}."
    assert [one.seen for one in upstreams.values()] == [[]] * 4


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/descriptor.binpb"])
async def test_so_do_the_documents(gateway: Gateway, path: str) -> None:
    answer = await gateway.keyless("POST", path, data="x")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_a_refused_client_of_grpc_learns_the_request_id_too(gateway: Gateway) -> None:
    """Whatever its length, and what others make of the rest of the details."""
    for identity in ("r", "my-request-7", "x" * 300):
        async with grpc.aio.insecure_channel(gateway.target) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary("/convergence.auth.v1.QuotaService/GetQuota")(b"", metadata=(("x-request-id", identity),))
        status, info, request = rpc_status.from_call(refused.value), error_details_pb2.ErrorInfo(), error_details_pb2.RequestInfo()
        assert status is not None
        assert status.details[0].Unpack(info)
        assert status.details[-1].Unpack(request)
        assert (info.reason, request.request_id) == ("API_KEY_MISSING", identity)
