"""The emulators as processes: they stop normally on request, and have all their data after a restart."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

from localcloud.processes.process import ProcessFailed
from localcloud.settings import LocalSettings
from localcloud.stack import Stack


def test_bigquery_keeps_its_data_over_a_restart(own_emulators: Stack) -> None:
    with bigquery.Client(
        own_emulators.settings.project,
        AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": own_emulators.env["BIGQUERY_EMULATOR_HOST"]},
    ) as client:
        client.create_dataset("kept")
        client.query_and_wait("CREATE TABLE kept.numbers AS SELECT 42 AS number")

        own_emulators.stop_process("bigquery")
        assert own_emulators.wait("bigquery", 0) == 0
        own_emulators.restart("bigquery")

        assert [row.number for row in client.query_and_wait("SELECT number FROM kept.numbers")] == [42]


def test_kms_has_the_platforms_key_from_the_start_and_keeps_it(own_emulators: Stack) -> None:
    with grpc.insecure_channel(own_emulators.env["KMS_EMULATOR_HOST"]) as channel:
        kms = kms_v1.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))
        sealed = kms.encrypt({"name": own_emulators.settings.kms_key, "plaintext": b"secret"}).ciphertext

        own_emulators.stop_process("kms")
        assert own_emulators.wait("kms", 0) == 0
        own_emulators.restart("kms")
        # The channel would find out by itself, a second later.
        grpc.channel_ready_future(channel).result(timeout=10)

        assert kms.decrypt({"name": own_emulators.settings.kms_key, "ciphertext": sealed}).plaintext == b"secret"


def test_up_says_which_port_is_in_use_and_ends_with_1(own_emulators: Stack) -> None:
    taken = {
        f"LOCALCLOUD_{name.upper()}": str(port) for name, port in own_emulators.settings.model_dump().items() if name.endswith("_port")
    }

    done = subprocess.run(
        [sys.executable, "-m", "localcloud", "up"],
        env={**taken, "LOCALCLOUD_STATE_DIR": str(own_emulators.settings.state_dir / "second")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 1
    assert f"port {own_emulators.settings.bigquery_port} of bigquery is in use" in done.stderr
    assert f"port {own_emulators.settings.kms_port} of kms is in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_up_leaves_nothing_behind_when_it_is_stopped_while_it_starts(tmp_path: Path) -> None:
    """SIGTERM while the first parts are starting: they are stopped, nothing is written for callers, and no traceback is shown."""
    settings = LocalSettings.on_free_ports(tmp_path)
    ports = {f"LOCALCLOUD_{name.upper()}": str(port) for name, port in settings.model_dump().items() if name.endswith("_port")}
    command = [sys.executable, "-m", "localcloud", "up"]
    environment = {**ports, "LOCALCLOUD_STATE_DIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as up:
        end = time.monotonic() + 20
        while not (tmp_path / "logs" / "bigquery.log").exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        children = Path(f"/proc/{up.pid}/task").glob("*/children")
        parts = [int(pid) for path in children for pid in path.read_text().split()]
        up.send_signal(signal.SIGTERM)
        out, err = up.communicate(timeout=60)

    assert (up.returncode, out, err) == (0, "Stopped.\n", "")
    assert parts
    assert not [pid for pid in parts if Path(f"/proc/{pid}").exists()]
    assert not settings.env_file.exists()


def test_a_file_of_pools_that_is_none_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "google_sts").mkdir()
    (tmp_path / "google_sts" / "pools.json").write_text("[]")
    with pytest.raises(ProcessFailed) as refused:
        Stack(LocalSettings.on_free_ports(tmp_path), only=("google_sts",)).start()
    assert "Traceback" not in str(refused.value)
    assert "has no workload identity pools: move it away" in str(refused.value)


def test_the_bigquery_of_an_earlier_version_s_data_says_so_and_nothing_else(tmp_path: Path) -> None:
    """What `make up` shows of a process that does not start is the end of its log."""
    (tmp_path / "bigquery").mkdir()
    (tmp_path / "bigquery" / "convergence-local.ducklake").touch()
    settings = LocalSettings.on_free_ports(tmp_path)
    with pytest.raises(ProcessFailed) as refused:
        Stack(settings, only=("bigquery",)).start()
    first, log, *said = str(refused.value).splitlines()
    assert first == "bigquery died while starting: exit status 1"
    assert log.endswith("bigquery.log:")
    assert said == [
        f"  | {tmp_path / 'bigquery'} has been written by an earlier version: remove it, or start with another LOCALCLOUD_STATE_DIR"
    ]
