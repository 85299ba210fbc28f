"""Query parameters, as the transcoder reads them and as the services check them."""

import pytest
from google.protobuf.descriptor import MethodDescriptor

from services.platform.errors import InvalidArgument
from services.platform.rpc.query_fields import HEADER, check_query
from services.platform.rpc.rules import find_method
from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.test_manners import SENT_KEYS, exchange
from tests.integration.gateway.upstream import Upstream

RUNS = "/api/v1/pipelines/runs/acme"


async def checked(gateway: Gateway, upstream: Upstream, method: str, path: str, query: str) -> str | None:
    """The field that the service refuses, from the very header that the gateway gives it; None if it refuses none."""
    # Not with a library, which would tidy it up.
    answer = await exchange(
        gateway, f"{method} {path}?{query} HTTP/1.1\r\nHost: x\r\n{SENT_KEYS}Connection: close\r\nContent-Length: 0\r\n\r\n"
    )
    assert answer.startswith("HTTP/1.1 200 OK")
    seen = upstream.seen[0]
    rpc = find_method(seen.path)
    assert isinstance(rpc, MethodDescriptor)
    assert seen.metadata[HEADER] == f"{path}?{query}"
    try:
        check_query(rpc, seen.metadata[HEADER].partition("?")[2])
    except InvalidArgument as error:
        return error.field
    return None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=COMPLETED&status=FAILED", "status"),
        ("status=FAILED&status=FAILED", "status"),
        ("status=FAILED&page_size=3&stat%75s=COMPLETED", "status"),
        ("page_size=3&pageSize=4", "page_size"),
        ("page_size=3&&page%5Fsize=4", "page_size"),
        ("status=&status=FAILED", "status"),
        # The transcoder lets a query overrule the path.
        ("tenant_id=other", "tenant_id"),
        ("tenantId=acme", "tenant_id"),
        ("status", "status"),
        ("nope", "nope"),
        ("=FAILED", "query"),
        ("status=FAILED&page_size=3&page_token=a=b&", None),
        ("", None),
    ],
)
async def test_what_would_be_dropped_is_refused(gateway: Gateway, upstreams: dict[str, Upstream], query: str, field: str | None) -> None:
    assert await checked(gateway, upstreams["executor"], "GET", RUNS, query) == field


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("scopes=read&scopes=run", None),
        ("expires_at=2030-01-01T00:00:00Z&expires_at=2031-01-01T00:00:00Z", "expires_at"),
        ("expires_at.seconds=1&expiresAt.seconds=2", "expires_at.seconds"),
        ("expires_at=2030-01-01T00:00:00Z&expires_at.nanos=2", "expires_at.nanos"),
        ("expires_at.seconds=1&expires_at.nanos=2", None),
    ],
)
async def test_repeated_and_inner_fields(gateway: Gateway, auth: Upstream, query: str, field: str | None) -> None:
    """All of a repeated field's values arrive; a message's parts are fields of their own."""
    assert await checked(gateway, auth, "POST", "/api/v1/tenants/acme/api-keys", query) == field
    if query.startswith("scopes"):
        assert list(auth.seen[0].request.scopes) == ["read", "run"]


async def test_no_outside_caller_can_say_what_was_asked_for(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    await gateway.call("GET", RUNS, headers={HEADER: "/?status=a&status=b"})
    assert upstreams["executor"].seen[0].metadata[HEADER] == RUNS
