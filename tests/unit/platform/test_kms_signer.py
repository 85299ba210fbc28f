"""What the signer takes for an answer, and what it does not. Against a scripted KMS."""

from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import google_crc32c
import grpc
import pytest
from google.cloud.kms_v1 import types
from structlog.testing import capture_logs

from services.platform.errors import Internal, Unavailable
from services.platform.kms.signer import KmsSigner
from services.platform.settings import ServiceSettings

KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
V1 = f"{KEY}/cryptoKeyVersions/1"
MESSAGE = b"header.claims"


class ScriptedSigner(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc is untyped
    """Refuses as scripted, and then answers with what a test has changed."""

    def __init__(self) -> None:
        self.refusals = deque[tuple[grpc.StatusCode, str]]()
        self.changes = deque[dict[str, Any]]()
        """Of answers to come."""
        self.calls = 0
        self.digests = list[types.AsymmetricSignRequest]()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = handler_call_details.method.rpartition("/")[2]
        request: Any = {"AsymmetricSign": types.AsymmetricSignRequest, "GetPublicKey": types.GetPublicKeyRequest}[method]
        response: Any = {"AsymmetricSign": types.AsymmetricSignResponse, "GetPublicKey": types.PublicKey}[method]
        answers: dict[str, Any] = {"AsymmetricSign": self._sign, "GetPublicKey": self._key}
        return grpc.unary_unary_rpc_method_handler(answers[method], request.deserialize, response.serialize)

    async def _sign(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        self.digests.append(request)
        if self.refusals:
            await context.abort(*self.refusals.popleft())
        said = {"name": V1, "signature": b"s", "signature_crc32c": google_crc32c.value(b"s"), "verified_digest_crc32c": True}
        return types.AsymmetricSignResponse(**(said | self._changed()))

    async def _key(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        self.calls += 1
        return types.PublicKey(**({"name": V1, "pem": "PEM", "pem_crc32c": google_crc32c.value(b"PEM")} | self._changed()))

    def _changed(self) -> dict[str, Any]:
        return self.changes.popleft() if self.changes else {}


@pytest.fixture
def scripted() -> ScriptedSigner:
    return ScriptedSigner()


@pytest.fixture
async def signer(scripted: ScriptedSigner) -> AsyncIterator[KmsSigner]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([scripted])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with KmsSigner(ServiceSettings(kms_emulator_host=f"127.0.0.1:{port}", kms_deadline_seconds=1.0), key=KEY) as client:
        yield client
    await server.stop(None)


async def test_only_a_digest_is_sent_with_its_checksum(scripted: ScriptedSigner, signer: KmsSigner) -> None:
    assert await signer.sign(V1, MESSAGE) == b"s"
    [request] = scripted.digests
    assert (request.name, len(request.digest.sha256), request.data) == (V1, 32, b"")
    assert request.digest_crc32c == google_crc32c.value(request.digest.sha256)


@pytest.mark.parametrize(
    "changes",
    [{"signature_crc32c": 1}, {"signature_crc32c": None}, {"verified_digest_crc32c": False}, {"name": f"{KEY}/cryptoKeyVersions/2"}],
)
async def test_a_signature_that_was_damaged_or_is_another_version_s_is_none(
    scripted: ScriptedSigner, signer: KmsSigner, changes: dict[str, Any]
) -> None:
    """It is asked for again."""
    scripted.changes.append(changes)
    assert (await signer.sign(V1, MESSAGE), len(scripted.digests)) == (b"s", 2)


@pytest.mark.parametrize("changes", [{"pem_crc32c": 1}, {"pem": "OTHER"}, {"name": f"{KEY}/cryptoKeyVersions/2"}])
async def test_a_public_key_that_was_damaged_is_not_published(scripted: ScriptedSigner, signer: KmsSigner, changes: dict[str, Any]) -> None:
    scripted.changes.append(changes)
    assert (await signer.public_key(V1), scripted.calls) == (b"PEM", 2)


async def test_signatures_that_are_always_damaged_end_with_the_deadline(scripted: ScriptedSigner, signer: KmsSigner) -> None:
    scripted.changes.extend([{"signature_crc32c": 1}] * 1000)
    with pytest.raises(Unavailable, match="damaged"):
        await signer.sign(V1, MESSAGE)


async def test_what_may_pass_is_tried_again_and_the_rest_is_the_operator_s(scripted: ScriptedSigner, signer: KmsSigner) -> None:
    scripted.refusals.append((grpc.StatusCode.UNAVAILABLE, "just now"))
    assert await signer.sign(V1, MESSAGE) == b"s"
    scripted.refusals.append((grpc.StatusCode.PERMISSION_DENIED, "Permission 'cloudkms.cryptoKeyVersions.useToSign' denied."))
    with capture_logs() as logs, pytest.raises(Internal) as refused:
        await signer.sign(V1, MESSAGE)
    assert refused.value.reason == "KMS_KEY_UNUSABLE"
    assert "cloudkms.signer" in logs[0]["remedy"]
