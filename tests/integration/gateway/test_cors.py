"""Browsers: the configured frontends may call, other pages may not."""

import pytest

from tests.integration.gateway.conftest import ORIGIN, OTHER_ORIGIN, Gateway
from tests.integration.gateway.test_refusals import refusal
from tests.integration.gateway.upstream import Upstream

# One Envoy for all of these.
TENANT = "/api/v1/tenants/acme"
EXPOSED = {"x-request-id", "retry-after", "ratelimit", "ratelimit-policy", "allow"}


@pytest.mark.parametrize("origin", [ORIGIN, OTHER_ORIGIN])
async def test_a_frontend_may_send_our_headers_and_methods(gateway: Gateway, auth: Upstream, origin: str) -> None:
    """A preflight is answered by the gateway; no service sees it."""
    asked = {"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-api-key,content-type"}
    answer = await gateway.call("OPTIONS", TENANT, headers=asked)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert _listed(answer.headers["access-control-allow-methods"]) == {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
    assert _listed(answer.headers["access-control-allow-headers"]) == {
        "content-type",
        "authorization",
        "last-event-id",
        "traceparent",
        "tracestate",
        "x-api-key",
        "x-user-id",
        "x-request-id",
        "idempotency-key",
    }
    assert auth.seen == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/quota", {}, 200),
        ("GET", "/quota?nope=1", {}, 400),
        ("GET", "/quota", {"x-api-key": ""}, 401),
        ("GET", "/nope", {}, 404),
        ("DELETE", "/quota", {}, 405),
        ("PUT", "", {"content-encoding": "gzip"}, 415),
        ("PUT", "", {"large": "yes"}, 413),
    ],
)
async def test_the_frontend_may_read_answers_and_errors(
    gateway: Gateway, upstreams: dict[str, Upstream], method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """Else a browser says "Failed to fetch", and no more."""
    body = b" " * (70_000 if "large" in headers else 1) if method == "PUT" else None
    answer = await gateway.call(method, TENANT + path, headers={"Origin": ORIGIN, **headers}, data=body)

    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert _listed(answer.headers["access-control-expose-headers"]) == EXPOSED


@pytest.mark.parametrize("origin", ["http://evil.test", f"{ORIGIN}, {OTHER_ORIGIN}", f"{ORIGIN}.evil.test", "null"])
async def test_other_pages_may_not(gateway: Gateway, upstreams: dict[str, Upstream], origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-api-key"}
    for method in ("OPTIONS", "GET"):
        answer = await gateway.call(method, "/api/v1/tenants/acme/quota", headers=asked)
        assert "access-control-allow-origin" not in answer.headers
        if method == "OPTIONS":
            status, code, reason, message = refusal(answer)
            assert (status, code, reason) == (403, 7, "ORIGIN_NOT_ALLOWED")
            assert "GATEWAY_CORS_ORIGIN" in message


def _listed(header: str) -> set[str]:
    return {item.strip() for item in header.split(",")}
