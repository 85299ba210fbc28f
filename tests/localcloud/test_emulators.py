"""The emulators as processes: they end in order when asked to, and know everything again when they are back."""

import subprocess
import sys
from collections.abc import Iterator

import grpc
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

from localcloud.settings import LocalSettings
from localcloud.stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(LocalSettings.on_free_ports(tmp_path_factory.mktemp("emulators")), only=("bigquery", "kms")) as started:
        yield started


def test_bigquery_keeps_its_data_over_a_restart(stack: Stack) -> None:
    with bigquery.Client(
        stack.settings.project,
        AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": stack.env["BIGQUERY_EMULATOR_HOST"]},
    ) as client:
        client.create_dataset("kept")
        client.query_and_wait("CREATE TABLE kept.numbers AS SELECT 42 AS number")

        stack.stop_part("bigquery")
        assert stack.wait("bigquery", 0) == 0
        stack.restart("bigquery")

        assert [row.number for row in client.query_and_wait("SELECT number FROM kept.numbers")] == [42]


def test_kms_has_the_platforms_key_from_the_start_and_keeps_it(stack: Stack) -> None:
    with grpc.insecure_channel(stack.env["KMS_EMULATOR_HOST"]) as channel:
        kms = kms_v1.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))
        sealed = kms.encrypt({"name": stack.settings.kms_key, "plaintext": b"secret"}).ciphertext

        stack.stop_part("kms")
        assert stack.wait("kms", 0) == 0
        stack.restart("kms")
        # The channel would find out by itself, a second later.
        grpc.channel_ready_future(channel).result(timeout=10)

        assert kms.decrypt({"name": stack.settings.kms_key, "ciphertext": sealed}).plaintext == b"secret"


def test_up_says_which_port_is_in_use_and_ends_with_1(stack: Stack) -> None:
    taken = {f"LOCALCLOUD_{name.upper()}": str(port) for name, port in stack.settings.model_dump().items() if name.endswith("_port")}

    done = subprocess.run(
        [sys.executable, "-m", "localcloud", "up"],
        env={**taken, "LOCALCLOUD_STATE_DIR": str(stack.settings.state_dir / "second")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 1
    assert f"port {stack.settings.bigquery_port} of bigquery is in use" in done.stderr
    assert f"port {stack.settings.kms_port} of kms is in use" in done.stderr
    assert "Traceback" not in done.stderr
