"""The gateway describes its interface itself, without a key: for programs and, as a page, for people."""

import asyncio
import gzip
import json
import subprocess
from pathlib import Path

import pytest
from convergence.auth.v1 import quota_service_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.message import Message

from gateway.public_rpcs import public_services
from gateway.settings import GatewaySettings
from services.platform.settings import REPOSITORY
from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.upstream import Upstream

SETTINGS = GatewaySettings()
TYPES = {
    "/docs": "text/html; charset=utf-8",
    "/docs/docs.css": "text/css; charset=utf-8",
    "/docs/docs.js": "text/javascript; charset=utf-8",
    "/docs/rapidoc.js": "text/javascript; charset=utf-8",
    "/openapi.json": "application/json",
    "/descriptor.binpb": "application/x-protobuf",
}


@pytest.mark.parametrize("path", TYPES)
async def test_each_is_served_to_all_with_what_a_browser_needs(gateway: Gateway, upstreams: dict[str, Upstream], path: str) -> None:
    get, head = [await gateway.keyless(method, path, headers={"Origin": "http://anywhere.test"}) for method in ("GET", "HEAD")]
    again = await gateway.keyless("GET", path, headers={"If-None-Match": f'"other", {get.headers["etag"]}'})

    assert (get.status_code, head.status_code, head.content) == (200, 200, b"")
    assert get.headers["content-type"] == TYPES[path]
    for name in ("content-type", "content-length", "content-encoding", "etag", "cache-control"):
        assert head.headers[name] == get.headers[name]
    assert (get.headers["cache-control"], get.headers["vary"]) == ("no-cache", "accept-encoding")
    assert (get.headers["access-control-allow-origin"], get.headers["x-content-type-options"]) == ("*", "nosniff")
    assert "default-src 'none'" in get.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in get.headers["content-security-policy"]
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", get.headers["etag"])
    assert "location" not in again.headers
    assert [one.seen for one in upstreams.values()] == [[]] * 4


async def test_what_is_served_is_what_was_generated(gateway: Gateway) -> None:
    """To who reads gzip compressed, to others as it is, but for the large script of the page."""
    for path, file in (
        ("/openapi.json", SETTINGS.openapi),
        ("/docs/rapidoc.js", SETTINGS.viewer),
        ("/docs/", SETTINGS.pages_dir / "docs.html"),
    ):
        compressed = await gateway.keyless("GET", path)
        plain = await gateway.keyless("GET", path, headers={"Accept-Encoding": "identity"}, stream=True)
        raw = plain.raw.read()
        assert compressed.content == file.read_bytes()
        assert compressed.headers["content-encoding"] == "gzip"
        assert (gzip.decompress(raw) if file == SETTINGS.viewer else raw) == file.read_bytes()
    assert json.loads((await gateway.keyless("GET", "/openapi.json")).content)["openapi"].startswith("3.")


async def test_the_descriptor_set_has_the_public_services_and_is_complete(gateway: Gateway) -> None:
    """As grpcurl and buf curl read it: each file after those that it imports. Services for peers only are not in it."""
    served = descriptor_pb2.FileDescriptorSet.FromString((await gateway.keyless("GET", "/descriptor.binpb")).content)
    known = set[str]()
    for file in served.file:
        assert known.issuperset(file.dependency), file.name
        known.add(file.name)
    services = {f"{file.package}.{service.name}" for file in served.file for service in file.service}
    assert services == set(public_services(SETTINGS.descriptor))
    assert {"google/rpc/error_details.proto", "convergence/errors/v1/error_reason.proto"} <= known
    assert any(location.leading_comments for file in served.file for location in file.source_code_info.location)


async def test_a_generic_client_of_grpc_calls_by_it(gateway: Gateway, upstreams: dict[str, Upstream], tmp_path: Path) -> None:
    """As docs/google-cloud.md has it."""

    async def answer(_: object, __: object) -> Message:
        return quota_service_pb2.GetQuotaResponse(tenant_id="acme_corp")

    upstreams["auth"].answer = answer
    schema = tmp_path / "convergence.binpb"
    schema.write_bytes((await gateway.keyless("GET", "/descriptor.binpb")).content)
    call = f"{gateway.url}/convergence.auth.v1.QuotaService/GetQuota"
    options = ["--protocol", "grpc", "--http2-prior-knowledge", "-H", "x-api-key: k", "-d", '{"tenant_id": "acme_corp"}']
    command = [str(REPOSITORY / ".venv/bin/buf"), "curl", "--schema", str(schema), *options, call]
    ran = await asyncio.to_thread(lambda: subprocess.run(command, capture_output=True, text=True, check=False))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout) == {"tenantId": "acme_corp"}
    assert upstreams["auth"].seen[0].request.tenant_id == "acme_corp"


@pytest.mark.parametrize("path", ["/docs/nope", "/docs/docs.html", "/docs/../openapi.yaml", "/docs/%2e%2e/envoy.yaml", "/openapi.json/"])
async def test_there_is_nothing_beside_them(gateway: Gateway, path: str) -> None:
    assert (await gateway.keyless("GET", path)).status_code == 404
