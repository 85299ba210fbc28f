"""The local KMS, called by Google's own client, behaves as Cloud KMS documents."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import google_crc32c
import grpc
import pytest
from google.api_core import exceptions
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

from localcloud.kms.keyring import KeyRing
from localcloud.kms.server import serve
from localcloud.kms.signing import SigningKeys
from localcloud.kms.version_states import WrongState

LOCATION = "projects/p/locations/global"
KEY = f"{LOCATION}/keyRings/ring/cryptoKeys/key"
OTHER = f"{LOCATION}/keyRings/ring/cryptoKeys/other"
type Start = Callable[[], kms_v1.KeyManagementServiceClient]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kms" / "keyring.json"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Starts one more KMS over the same file and answers a client of it."""
    with ExitStack() as stack:

        def started() -> kms_v1.KeyManagementServiceClient:
            keys = KeyRing(path)
            keys.ensure(KEY)
            keys.ensure(OTHER)
            server, port = serve("127.0.0.1:0", keys, SigningKeys(path.with_name("signing.json")))
            stack.callback(lambda: server.stop(None).wait())
            channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))
            return kms_v1.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))

        yield started


@pytest.fixture
def kms(start: Start) -> kms_v1.KeyManagementServiceClient:
    return start()


def crc(data: bytes) -> int:
    checksum: int = google_crc32c.value(data)
    return checksum


def seal(kms: kms_v1.KeyManagementServiceClient, plaintext: bytes = b"secret", aad: bytes = b"aad", name: str = KEY) -> bytes:
    ciphertext: bytes = kms.encrypt({"name": name, "plaintext": plaintext, "additional_authenticated_data": aad}).ciphertext
    return ciphertext


def opened(kms: kms_v1.KeyManagementServiceClient, ciphertext: bytes, aad: bytes = b"aad", name: str = KEY) -> bytes:
    plaintext: bytes = kms.decrypt({"name": name, "ciphertext": ciphertext, "additional_authenticated_data": aad}).plaintext
    return plaintext


def test_what_is_sealed_opens_again_and_names_its_version(kms: kms_v1.KeyManagementServiceClient) -> None:
    """Both ways carry checksums, and the answer says which of the caller's it checked."""
    sealed = kms.encrypt(
        {
            "name": KEY,
            "plaintext": b"secret",
            "plaintext_crc32c": crc(b"secret"),
            "additional_authenticated_data": b"aad",
            "additional_authenticated_data_crc32c": crc(b"aad"),
        }
    )

    assert sealed.name == f"{KEY}/cryptoKeyVersions/1"
    assert sealed.verified_plaintext_crc32c
    assert sealed.verified_additional_authenticated_data_crc32c
    assert sealed.ciphertext_crc32c == crc(sealed.ciphertext)
    assert b"secret" not in sealed.ciphertext

    answer = kms.decrypt(
        {
            "name": KEY,
            "ciphertext": sealed.ciphertext,
            "ciphertext_crc32c": crc(sealed.ciphertext),
            "additional_authenticated_data": b"aad",
            "additional_authenticated_data_crc32c": crc(b"aad"),
        }
    )
    assert answer.plaintext == b"secret"
    assert answer.plaintext_crc32c == crc(b"secret")
    assert answer.used_primary


def test_checksums_that_were_not_sent_are_not_reported_as_verified(kms: kms_v1.KeyManagementServiceClient) -> None:
    sealed = kms.encrypt({"name": KEY, "plaintext": b"secret"})

    assert not sealed.verified_plaintext_crc32c
    assert not sealed.verified_additional_authenticated_data_crc32c


@pytest.mark.parametrize("field", ["plaintext", "additional_authenticated_data"])
def test_a_wrong_checksum_is_refused_when_sealing(kms: kms_v1.KeyManagementServiceClient, field: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=f"{field}_crc32c"):
        kms.encrypt({"name": KEY, "plaintext": b"secret", "additional_authenticated_data": b"aad", f"{field}_crc32c": 1})


@pytest.mark.parametrize("field", ["ciphertext", "additional_authenticated_data"])
def test_a_wrong_checksum_is_refused_when_opening(kms: kms_v1.KeyManagementServiceClient, field: str) -> None:
    request = {"name": KEY, "ciphertext": seal(kms), "additional_authenticated_data": b"aad", f"{field}_crc32c": 1}

    with pytest.raises(exceptions.InvalidArgument, match=f"{field}_crc32c"):
        kms.decrypt(request)


def test_sizes_end_at_64_kib(kms: kms_v1.KeyManagementServiceClient) -> None:
    """64 KiB each of plaintext and of additional data pass, one byte more of either does not."""
    limit = 64 * 1024

    assert opened(kms, seal(kms, b"p" * limit, b"a" * limit), b"a" * limit) == b"p" * limit
    with pytest.raises(exceptions.InvalidArgument, match="plaintext"):
        seal(kms, b"p" * (limit + 1))
    with pytest.raises(exceptions.InvalidArgument, match="additional_authenticated_data"):
        seal(kms, b"p", b"a" * (limit + 1))


def test_a_ciphertext_opens_only_with_its_own_key_and_data(kms: kms_v1.KeyManagementServiceClient) -> None:
    sealed = seal(kms)

    with pytest.raises(exceptions.InvalidArgument, match="the ciphertext is invalid"):
        opened(kms, sealed, b"other")
    with pytest.raises(exceptions.InvalidArgument, match="the ciphertext is invalid"):
        opened(kms, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(exceptions.InvalidArgument, match="refers to the correct CryptoKey"):
        opened(kms, sealed, name=OTHER)
    with pytest.raises(exceptions.InvalidArgument):
        opened(kms, b"")


def test_unknown_names_are_not_found_and_malformed_ones_invalid(kms: kms_v1.KeyManagementServiceClient) -> None:
    unknown = f"{LOCATION}/keyRings/ring/cryptoKeys/nobody"

    for call in (lambda: seal(kms, name=unknown), lambda: opened(kms, seal(kms), name=unknown), lambda: kms.get_crypto_key(name=unknown)):
        with pytest.raises(exceptions.NotFound, match="nobody"):
            call()
    with pytest.raises(exceptions.NotFound):
        seal(kms, name=f"{KEY}/cryptoKeyVersions/2")
    with pytest.raises(exceptions.InvalidArgument):
        seal(kms, name="key")


def test_rotation_keeps_old_ciphertexts_open(kms: kms_v1.KeyManagementServiceClient) -> None:
    """A new version becomes primary and seals; what the old one sealed still opens, and says so."""
    old = seal(kms)

    assert kms.create_crypto_key_version(parent=KEY).name == f"{KEY}/cryptoKeyVersions/2"
    assert kms.get_crypto_key(name=KEY).primary.name == f"{KEY}/cryptoKeyVersions/1"
    assert kms.update_crypto_key_primary_version(name=KEY, crypto_key_version_id="2").primary.name == f"{KEY}/cryptoKeyVersions/2"

    new = kms.encrypt({"name": KEY, "plaintext": b"new"})
    assert new.name == f"{KEY}/cryptoKeyVersions/2"
    assert opened(kms, new.ciphertext, b"") == b"new"
    assert opened(kms, old) == b"secret"
    assert not kms.decrypt({"name": KEY, "ciphertext": old, "additional_authenticated_data": b"aad"}).used_primary


def set_state(kms: kms_v1.KeyManagementServiceClient, number: int, state: str) -> str:
    version = {"name": f"{KEY}/cryptoKeyVersions/{number}", "state": state}
    name: str = kms.update_crypto_key_version({"crypto_key_version": version, "update_mask": {"paths": ["state"]}}).state.name
    return name


def states(kms: kms_v1.KeyManagementServiceClient) -> list[str]:
    return [version.state.name for version in kms.list_crypto_key_versions(parent=KEY)]


def test_a_disabled_version_neither_seals_nor_opens_until_it_is_enabled(kms: kms_v1.KeyManagementServiceClient) -> None:
    """Also the primary one can be disabled; the other versions go on."""
    old = seal(kms)
    kms.create_crypto_key_version(parent=KEY)
    kms.update_crypto_key_primary_version(name=KEY, crypto_key_version_id="2")
    new = seal(kms)

    assert set_state(kms, 1, "DISABLED") == "DISABLED"
    with pytest.raises(exceptions.FailedPrecondition, match="cryptoKeyVersions/1 is not enabled, current state is: DISABLED"):
        opened(kms, old)
    assert opened(kms, new) == b"secret"
    with pytest.raises(exceptions.FailedPrecondition):
        kms.update_crypto_key_primary_version(name=KEY, crypto_key_version_id="1")

    assert set_state(kms, 2, "DISABLED") == "DISABLED"
    with pytest.raises(exceptions.FailedPrecondition, match="cryptoKeyVersions/2 is not enabled"):
        seal(kms)
    assert states(kms) == ["DISABLED", "DISABLED"]

    assert (set_state(kms, 1, "ENABLED"), opened(kms, old)) == ("ENABLED", b"secret")
    with pytest.raises(exceptions.InvalidArgument, match="must be ENABLED or DISABLED"):
        set_state(kms, 1, "DESTROYED")


def test_a_destruction_is_scheduled_and_can_be_taken_back(kms: kms_v1.KeyManagementServiceClient) -> None:
    """The version is of no use meanwhile, and disabled afterwards."""
    name = f"{KEY}/cryptoKeyVersions/1"
    sealed = seal(kms)

    scheduled = kms.destroy_crypto_key_version(name=name)
    wait: Any = scheduled.destroy_time - scheduled.create_time
    assert (scheduled.state.name, wait.days) == ("DESTROY_SCHEDULED", 30)
    with pytest.raises(exceptions.FailedPrecondition, match="current state is: DESTROY_SCHEDULED"):
        opened(kms, sealed)
    for call in (lambda: kms.destroy_crypto_key_version(name=name), lambda: set_state(kms, 1, "ENABLED")):
        with pytest.raises(exceptions.FailedPrecondition):
            call()

    assert kms.restore_crypto_key_version(name=name).state.name == "DISABLED"
    set_state(kms, 1, "ENABLED")
    assert opened(kms, sealed) == b"secret"
    with pytest.raises(exceptions.FailedPrecondition, match="not scheduled for destruction"):
        kms.restore_crypto_key_version(name=name)


def test_a_destroyed_version_is_erased_from_the_disk(path: Path) -> None:
    """Thirty days later, with the next change. Nothing brings it back."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    keys = KeyRing(path, now=lambda: now)
    keys.ensure(KEY)
    secret = keys.version(KEY, 1).secret
    keys.set_primary(KEY, keys.add_version(KEY))
    _, sealed = keys.seal(KEY, 1, b"secret", b"aad")
    keys.destroy(KEY, 1)

    now += timedelta(days=30)
    keys.set_disabled(KEY, 2, disabled=True)

    assert keys.version(KEY, 1).state(now) == "DESTROYED"
    assert secret not in path.read_text()
    with pytest.raises(WrongState, match="DESTROYED"):
        KeyRing(path, now=lambda: now).open(KEY, sealed, b"aad")
    with pytest.raises(WrongState, match="DESTROYED"):
        keys.restore(KEY, 1)


def test_a_key_ring_from_before_versions_had_states_is_read(path: Path) -> None:
    path.parent.mkdir()
    version = {"tag": "00" * 8, "secret": "A" * 43 + "=", "created_at": "2026-01-01T00:00:00+00:00"}
    path.write_text(json.dumps({"rings": ["r"], "keys": {KEY: {"primary": 1, "versions": [version]}}}))

    keys = KeyRing(path)

    assert keys.open(KEY, keys.seal(KEY, None, b"secret", b"aad")[1], b"aad") == (1, b"secret")


def test_keys_are_made_once(kms: kms_v1.KeyManagementServiceClient) -> None:
    ring = kms.create_key_ring(parent=LOCATION, key_ring_id="mine")
    purpose = kms_v1.CryptoKey(purpose=kms_v1.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT)

    key = kms.create_crypto_key(parent=ring.name, crypto_key_id="key", crypto_key=purpose)

    assert opened(kms, seal(kms, name=key.name), name=key.name) == b"secret"
    with pytest.raises(exceptions.AlreadyExists):
        kms.create_key_ring(parent=LOCATION, key_ring_id="mine")
    with pytest.raises(exceptions.AlreadyExists):
        kms.create_crypto_key(parent=ring.name, crypto_key_id="key", crypto_key=purpose)
    with pytest.raises(exceptions.NotFound):
        kms.create_crypto_key(parent=f"{LOCATION}/keyRings/none", crypto_key_id="key", crypto_key=purpose)


def test_keys_survive_a_restart_in_a_file_that_only_the_owner_reads(start: Start, path: Path) -> None:
    sealed = seal(start())

    assert opened(start(), sealed) == b"secret"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_broken_key_ring_is_never_overwritten(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("{}")

    with pytest.raises(ValueError, match="is not a key ring: put back a copy"):
        KeyRing(path)

    assert path.read_text() == "{}"
