"""The local KMS signs as Cloud KMS documents, and our client of it lists, publishes and signs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import google_crc32c
import grpc
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.api_core import exceptions
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport
from google.protobuf.field_mask_pb2 import FieldMask
from structlog.testing import capture_logs

from localcloud.kms.__main__ import rotate_command
from localcloud.kms.keyring import KeyRing
from localcloud.kms.server import serve
from localcloud.kms.signing import SigningKeys
from services.platform.errors import Internal
from services.platform.kms.signer import KmsSigner
from services.platform.settings import ServiceSettings

RING = "projects/p/locations/global/keyRings/ring"
KEY, SYMMETRIC = f"{RING}/cryptoKeys/tokens", f"{RING}/cryptoKeys/key"
V1, V2 = f"{KEY}/cryptoKeyVersions/1", f"{KEY}/cryptoKeyVersions/2"
ALGORITHMS: Any = kms_v1.CryptoKeyVersion.CryptoKeyVersionAlgorithm
STATES: Any = kms_v1.CryptoKeyVersion.CryptoKeyVersionState
SIGN = kms_v1.CryptoKey(purpose="ASYMMETRIC_SIGN", version_template={"algorithm": ALGORITHMS.RSA_SIGN_PKCS1_2048_SHA256})

type Start = Callable[..., str]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts one more KMS over the same files and answers its address."""
    with ExitStack() as stack:

        def started(generation: timedelta = timedelta()) -> str:
            keys, signing = KeyRing(tmp_path / "keyring.json"), SigningKeys(tmp_path / "signing.json", generation=generation)
            keys.ensure(SYMMETRIC)
            signing.ensure(KEY)
            server, port = serve("127.0.0.1:0", keys, signing)
            stack.callback(lambda: server.stop(None).wait())
            return f"127.0.0.1:{port}"

        yield started


@pytest.fixture
def address(start: Start) -> str:
    return start()


@pytest.fixture
def kms(address: str) -> Iterator[kms_v1.KeyManagementServiceClient]:
    with grpc.insecure_channel(address) as channel:
        yield kms_v1.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))


def digest(message: bytes) -> bytes:
    hashed = Hash(SHA256())
    hashed.update(message)
    return hashed.finalize()


def set_state(kms: kms_v1.KeyManagementServiceClient, name: str, state: str) -> kms_v1.CryptoKeyVersion:
    return kms.update_crypto_key_version(
        crypto_key_version=kms_v1.CryptoKeyVersion(name=name, state=STATES[state]),
        update_mask=FieldMask(paths=["state"]),
    )


def verifies(pem: bytes, signature: bytes, message: bytes) -> bool:
    key = load_pem_public_key(pem)
    assert isinstance(key, RSAPublicKey)
    try:
        key.verify(signature, message, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def test_a_signature_verifies_with_the_version_s_public_key(kms: kms_v1.KeyManagementServiceClient) -> None:
    hashed = digest(b"message")
    answer = kms.asymmetric_sign({"name": V1, "digest": {"sha256": hashed}, "digest_crc32c": google_crc32c.value(hashed)})
    public = kms.get_public_key(name=V1)

    assert (answer.name, answer.verified_digest_crc32c) == (V1, True)
    assert answer.signature_crc32c == google_crc32c.value(answer.signature)
    assert (public.name, public.algorithm) == (V1, ALGORITHMS.RSA_SIGN_PKCS1_2048_SHA256)
    assert public.pem_crc32c == google_crc32c.value(public.pem.encode())
    assert verifies(public.pem.encode(), answer.signature, b"message")
    assert not verifies(public.pem.encode(), answer.signature, b"another")


@pytest.mark.parametrize(
    "request_",
    [
        {"name": V1, "digest": {"sha256": b"short"}},
        {"name": V1, "digest": {"sha512": b"x" * 64}},
        {"name": V1, "data": b"message"},
        {"name": V1, "digest": {"sha256": b"x" * 32}, "digest_crc32c": 1},
        {"name": KEY, "digest": {"sha256": b"x" * 32}},
    ],
)
def test_what_cannot_be_signed_is_an_invalid_argument(kms: kms_v1.KeyManagementServiceClient, request_: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        kms.asymmetric_sign(request_)


def test_a_disabled_version_neither_signs_nor_shows_its_key_until_it_is_enabled(kms: kms_v1.KeyManagementServiceClient) -> None:
    assert set_state(kms, V1, "DISABLED").state == STATES.DISABLED
    for call in (lambda: kms.get_public_key(name=V1), lambda: kms.asymmetric_sign({"name": V1, "digest": {"sha256": b"x" * 32}})):
        with pytest.raises(exceptions.FailedPrecondition, match="is not enabled, current state is: DISABLED"):
            call()
    assert set_state(kms, V1, "ENABLED").state == STATES.ENABLED
    assert kms.get_public_key(name=V1).pem


def test_a_key_for_signing_has_versions_but_no_primary_one(kms: kms_v1.KeyManagementServiceClient) -> None:
    key = kms.create_crypto_key(parent=RING, crypto_key_id="mine", crypto_key=SIGN)
    second = kms.create_crypto_key_version(parent=key.name)
    pages = kms.list_crypto_key_versions(kms_v1.ListCryptoKeyVersionsRequest(parent=key.name, page_size=1)).pages

    assert "primary" not in kms.get_crypto_key(name=key.name)
    assert [[version.name for version in page.crypto_key_versions] for page in pages] == [
        [f"{key.name}/cryptoKeyVersions/1"],
        [second.name],
    ]
    assert kms.get_crypto_key_version(name=second.name).state == STATES.ENABLED
    with pytest.raises(exceptions.AlreadyExists):
        kms.create_crypto_key(parent=RING, crypto_key_id="key", crypto_key=SIGN)
    with pytest.raises(exceptions.AlreadyExists):
        kms.create_crypto_key(parent=RING, crypto_key_id="mine", crypto_key=kms_v1.CryptoKey(purpose="ENCRYPT_DECRYPT"))
    with pytest.raises(exceptions.InvalidArgument, match="does not sign"):
        kms.create_crypto_key(parent=RING, crypto_key_id="other", crypto_key=kms_v1.CryptoKey(purpose="ASYMMETRIC_SIGN"))
    with pytest.raises(exceptions.NotFound):
        kms.create_crypto_key(parent=f"{RING}s", crypto_key_id="other", crypto_key=SIGN)


def test_keys_are_the_same_after_a_restart_and_only_the_owner_reads_them(start: Start, tmp_path: Path) -> None:
    pems = []
    for _ in range(2):
        with grpc.insecure_channel(start()) as channel:
            client = kms_v1.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))
            pems.append(client.get_public_key(name=V1).pem)
    assert pems[0] == pems[1]
    assert (tmp_path / "signing.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "signing.json").write_text("[1]")
    with pytest.raises(ValueError, match="has no signing keys: put back a copy"):
        SigningKeys(tmp_path / "signing.json")


async def test_our_client_signs_with_the_version_it_names(address: str) -> None:
    async with KmsSigner(ServiceSettings(kms_emulator_host=address), key=KEY) as signer:
        [version] = await signer.enabled_versions()
        signature = await signer.sign(version.name, b"header.claims")
        assert version.name == V1
        assert timedelta() <= datetime.now(UTC) - version.generated_at < timedelta(minutes=5)
        assert verifies(await signer.public_key(V1), signature, b"header.claims")


async def test_our_client_lists_enabled_versions_alone_in_any_number_of_pages(
    address: str, kms: kms_v1.KeyManagementServiceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.platform.kms.signer.PAGE", 1)
    kms.create_crypto_key_version(parent=KEY)
    third = kms.create_crypto_key_version(parent=KEY).name
    set_state(kms, V2, "DISABLED")
    async with KmsSigner(ServiceSettings(kms_emulator_host=address), key=KEY) as signer:
        assert [version.name for version in await signer.enabled_versions()] == [V1, third]
        with capture_logs() as logs, pytest.raises(Internal) as refused:
            await signer.sign(V2, b"message")
    assert refused.value.reason == "KMS_KEY_UNUSABLE"
    assert [log["remedy"] for log in logs] == ["enable a version of the signing key, or create one"]


async def test_a_version_that_is_being_generated_is_not_listed_yet(start: Start) -> None:
    async with KmsSigner(ServiceSettings(kms_emulator_host=start(timedelta(hours=1))), key=KEY) as signer:
        assert await signer.enabled_versions() == []


async def test_a_key_that_does_not_exist_is_named_with_what_to_do(address: str) -> None:
    async with KmsSigner(ServiceSettings(kms_emulator_host=address), key=f"{RING}/cryptoKeys/none") as signer:
        with capture_logs() as logs, pytest.raises(Internal):
            await signer.enabled_versions()
    assert "CONVERGENCE_TOKEN_SIGNING_KEY" in logs[0]["remedy"]


def test_the_command_rotates_both_kinds_of_keys(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with grpc.insecure_channel(address) as channel:
        client = kms_v1.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))
        old = client.encrypt(name=SYMMETRIC, plaintext=b"secret").ciphertext
        assert [rotate_command([name, "--address", address]) for name in (SYMMETRIC, KEY)] == [0, 0]
        assert capsys.readouterr().out.split() == [f"{SYMMETRIC}/cryptoKeyVersions/2", V2]
        assert client.encrypt(name=SYMMETRIC, plaintext=b"secret").name == f"{SYMMETRIC}/cryptoKeyVersions/2"
        assert client.decrypt(name=SYMMETRIC, ciphertext=old).plaintext == b"secret"
        assert client.get_crypto_key_version(name=V2).state == STATES.ENABLED


def test_the_command_says_what_it_cannot_rotate(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert rotate_command([f"{KEY}-unknown", "--address", address]) == 1
    assert "did not rotate the key: 404" in capsys.readouterr().err
