"""KMS errors, permanent and temporary, and which errors callers get. Against a scripted KMS."""

from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import google_crc32c
import grpc
import pytest
from google.cloud.kms_v1 import types
from structlog.testing import capture_logs

from services.platform.errors import Internal, InvalidArgument, Unavailable
from services.platform.kms.client import Kms
from services.platform.kms.connection import KeyVersionUnusable
from services.platform.kms.versions import is_of_another_key, version_number
from services.platform.settings import ServiceSettings

SECRET, NAME = b"the secret", b"v1|acme|GCP|7"
KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
V1 = f"{KEY}/cryptoKeyVersions/1"
DAMAGED = "The checksum in field plaintext_crc32c did not match the data in field plaintext."


class ScriptedKms(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc is untyped
    """Refuses as scripted, and then seals by turning the bytes round."""

    def __init__(self) -> None:
        self.refusals = deque[tuple[grpc.StatusCode, str]]()
        self.changes = deque[dict[str, Any]]()
        """Of answers to come."""
        self.calls = 0

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = handler_call_details.method.rpartition("/")[2]
        request: Any = {"Encrypt": types.EncryptRequest, "Decrypt": types.DecryptRequest}[method]
        response: Any = {"Encrypt": types.EncryptResponse, "Decrypt": types.DecryptResponse}[method]
        answers: dict[str, Any] = {"Encrypt": self._encrypt, "Decrypt": self._decrypt}
        return grpc.unary_unary_rpc_method_handler(answers[method], request.deserialize, response.serialize)

    async def _refuse(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self.calls += 1
        if self.refusals:
            await context.abort(*self.refusals.popleft())

    async def _encrypt(self, request: types.EncryptRequest, context: grpc.aio.ServicerContext[Any, Any]) -> types.EncryptResponse:
        await self._refuse(context)
        ciphertext = request.plaintext[::-1]
        whole = {
            "name": V1,
            "ciphertext": ciphertext,
            "ciphertext_crc32c": google_crc32c.value(ciphertext),
            "verified_plaintext_crc32c": True,
            "verified_additional_authenticated_data_crc32c": True,
        }
        return types.EncryptResponse(**(whole | self._changed()))

    async def _decrypt(self, request: types.DecryptRequest, context: grpc.aio.ServicerContext[Any, Any]) -> types.DecryptResponse:
        await self._refuse(context)
        plaintext = request.ciphertext[::-1]
        whole = {"plaintext": plaintext, "plaintext_crc32c": google_crc32c.value(plaintext)}
        return types.DecryptResponse(**(whole | self._changed()))

    def _changed(self) -> dict[str, Any]:
        return self.changes.popleft() if self.changes else {}


@pytest.fixture
def scripted() -> ScriptedKms:
    return ScriptedKms()


@pytest.fixture
async def kms(scripted: ScriptedKms) -> AsyncIterator[Kms]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([scripted])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    settings = ServiceSettings(kms_emulator_host=f"127.0.0.1:{port}", kms_key=KEY, kms_deadline_seconds=1.0)
    async with Kms(settings) as client:
        yield client
    await server.stop(None)


@pytest.mark.parametrize(
    ("code", "says", "remedy"),
    [
        (
            grpc.StatusCode.FAILED_PRECONDITION,
            "k/cryptoKeyVersions/1 is not enabled, current state is: DISABLED.",
            "enable the key's version",
        ),
        (
            grpc.StatusCode.FAILED_PRECONDITION,
            "k/cryptoKeyVersions/1 is not enabled, current state is: DESTROYED.",
            "opens nothing any more",
        ),
        (grpc.StatusCode.PERMISSION_DENIED, "Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied.", "grant"),
        (grpc.StatusCode.NOT_FOUND, f"{KEY} not found.", "CONVERGENCE_KMS_KEY"),
        (grpc.StatusCode.UNAUTHENTICATED, "no credentials", "service account"),
        (grpc.StatusCode.INVALID_ARGUMENT, "The purpose of this key is ASYMMETRIC_SIGN.", "purpose ENCRYPT_DECRYPT"),
        (grpc.StatusCode.UNIMPLEMENTED, "no such method", "kms_says"),
        (grpc.StatusCode.OUT_OF_RANGE, "no such thing", "kms_says"),
    ],
)
@pytest.mark.parametrize("way", ["encrypt", "decrypt"])
async def test_what_only_the_operator_can_mend_is_logged_once_and_by_name(
    scripted: ScriptedKms, kms: Kms, code: grpc.StatusCode, says: str, remedy: str, way: str
) -> None:
    scripted.refusals.append((code, says))

    with capture_logs() as logs, pytest.raises(Internal) as refusal:
        await getattr(kms, way)(SECRET, NAME)

    assert (refusal.value.reason, scripted.calls) == ("KMS_KEY_UNUSABLE", 1)
    [line] = [log for log in logs if log["event"] == "kms_refused"]
    assert (line["log_level"], line["key"], line["kms_says"]) == ("error", KEY, says)
    assert remedy in line["remedy"]
    assert says not in refusal.value.message, "what KMS says is the operator's to read"
    assert SECRET.decode() not in f"{line}{refusal.value.message}"


@pytest.mark.parametrize("way", ["encrypt", "decrypt"])
async def test_bytes_damaged_on_the_way_are_sent_again(scripted: ScriptedKms, kms: Kms, way: str) -> None:
    """It has the code of a broken seal."""
    scripted.refusals.append((grpc.StatusCode.INVALID_ARGUMENT, DAMAGED))
    await getattr(kms, way)(SECRET, NAME)
    assert scripted.calls == 2


async def test_bytes_that_never_arrive_whole_are_no_broken_seal(scripted: ScriptedKms, kms: Kms) -> None:
    scripted.refusals.extend([(grpc.StatusCode.INVALID_ARGUMENT, DAMAGED)] * 1000)
    with pytest.raises(Unavailable):
        await kms.decrypt(SECRET, NAME)


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.ABORTED, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS, grpc.StatusCode.RESOURCE_EXHAUSTED]
)
async def test_what_may_pass_by_itself_is_tried_again(scripted: ScriptedKms, kms: Kms, code: grpc.StatusCode) -> None:
    scripted.refusals.append((code, "just now"))
    await kms.encrypt(SECRET, NAME)
    assert scripted.calls == 2


@pytest.mark.parametrize(
    ("way", "changes"),
    [
        ("encrypt", {"name": f"{KEY}2/cryptoKeyVersions/1"}),
        ("encrypt", {"name": KEY}),
        ("encrypt", {"ciphertext_crc32c": 1}),
        ("encrypt", {"ciphertext_crc32c": None}),
        ("encrypt", {"ciphertext": b"other"}),
        ("encrypt", {"verified_plaintext_crc32c": False}),
        ("encrypt", {"verified_additional_authenticated_data_crc32c": False}),
        ("decrypt", {"plaintext_crc32c": 1}),
        ("decrypt", {"plaintext_crc32c": None}),
        ("decrypt", {"plaintext": b"other"}),
    ],
)
async def test_an_answer_that_is_not_whole_is_asked_for_again(scripted: ScriptedKms, kms: Kms, way: str, changes: dict[str, Any]) -> None:
    """Also one that names another key, as Google asks: the request was damaged then."""
    scripted.changes.append(changes)
    answer = await getattr(kms, way)(SECRET, NAME)
    assert (getattr(answer, "ciphertext", answer), scripted.calls) == (SECRET[::-1], 2)


async def test_answers_that_are_never_whole_end_with_the_deadline(scripted: ScriptedKms, kms: Kms) -> None:
    scripted.changes.extend([{"plaintext_crc32c": 1}] * 1000)
    with pytest.raises(Unavailable, match="damaged"):
        await kms.decrypt(SECRET, NAME)


async def test_what_another_key_sealed_is_not_called_broken(scripted: ScriptedKms, kms: Kms) -> None:
    """The operator has changed the setting: the tenants' credentials are as good as ever."""
    scripted.refusals.append((grpc.StatusCode.INVALID_ARGUMENT, "Decryption failed: verify that 'name' refers to the correct CryptoKey."))
    with capture_logs() as logs, pytest.raises(KeyVersionUnusable) as refusal:
        await kms.decrypt(SECRET, NAME, key_version=f"{KEY}-before/cryptoKeyVersions/1")
    assert refusal.value.reason == "KMS_KEY_UNUSABLE"
    assert "name it there again" in logs[0]["remedy"]


async def test_a_version_s_state_is_not_said_of_the_whole_key(scripted: ScriptedKms, kms: Kms) -> None:
    scripted.refusals.append((grpc.StatusCode.FAILED_PRECONDITION, f"{V1} is not enabled, current state is: DISABLED."))
    with pytest.raises(KeyVersionUnusable):
        await kms.decrypt(SECRET, NAME)
    scripted.refusals.append((grpc.StatusCode.PERMISSION_DENIED, "denied"))
    with pytest.raises(Internal) as refusal:
        await kms.decrypt(SECRET, NAME)
    assert type(refusal.value) is Internal


@pytest.mark.parametrize(
    ("version", "number", "other"),
    [
        (V1, 1, False),
        (f"{KEY}/cryptoKeyVersions/12", 12, False),
        (f"{KEY}2/cryptoKeyVersions/1", None, True),
        (f"{KEY}/cryptoKeyVersions/", None, True),
        (f"{KEY}/cryptoKeyVersions/x", None, True),
        (KEY, None, False),
        ("12", None, False),
        ("", None, False),
        (None, None, False),
    ],
)
def test_a_version_is_known_by_its_full_name(version: str | None, number: int | None, other: bool) -> None:
    assert (version_number(version, KEY), is_of_another_key(version, KEY)) == (number, other)


async def test_another_tenants_seal_is_broken(scripted: ScriptedKms, kms: Kms) -> None:
    wrong = "Decryption failed: verify that 'name' refers to the correct CryptoKey."
    scripted.refusals.append((grpc.StatusCode.INVALID_ARGUMENT, wrong))
    with pytest.raises(Internal) as refusal:
        await kms.decrypt(SECRET, NAME, key_version=V1)
    assert (refusal.value.reason, scripted.calls) == ("SEAL_BROKEN", 1)


async def test_what_is_too_large_for_an_hsm_key_says_so(scripted: ScriptedKms, kms: Kms) -> None:
    """KMS has no code of its own for it; a smaller one that is refused as well has another cause."""
    scripted.refusals.append((grpc.StatusCode.INVALID_ARGUMENT, "plaintext is too large"))
    with capture_logs() as logs, pytest.raises(InvalidArgument) as refusal:
        await kms.encrypt(b"x" * 8192, NAME)
    assert (refusal.value.field, [log["event"] for log in logs]) == ("credentials", ["kms_refused"])
    assert "8192" in refusal.value.message
