"""What the doctor inside finds without any other part: settings, keys, emulators, certificates, the spool."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from localcloud.certs import VALID, mint
from localcloud.ports import free_ports
from services.doctor.__main__ import stands_for
from services.doctor.checks import CHECKS, account, admin_keys, certificates, emulators, service_settings, spool
from services.doctor.checks.roles import BLOCKS, EDITS, READS
from services.doctor.finding import Finding
from services.doctor.world import SERVICES, World
from services.executor.settings import ExecutorSettings
from services.platform.settings import REPOSITORY, AdminKey, ServiceSettings

NOW = datetime.now(UTC)
SECRET = "sk-very-secret"


def world(settings: ServiceSettings, *names: str, now: datetime = NOW) -> World:
    return World(settings=settings, names=names or SERVICES, bq=None, now=now)


def named(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(one.name, one.subject) for one in findings}


async def test_settings_that_a_service_does_not_take_are_named_without_their_value(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await service_settings.look(world(ServiceSettings())) == []
    monkeypatch.setenv("CONVERGENCE_MAX_CONCURRENT_RUNS", SECRET)

    findings = await service_settings.look(world(ServiceSettings()))

    assert named(findings) == {("settings-invalid", "executor")}
    assert "CONVERGENCE_MAX_CONCURRENT_RUNS" in findings[0].problem
    assert SECRET not in str(findings)


async def test_a_setting_that_no_service_knows_is_named_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVERGENCE_POLL_SECONDS", "1")
    monkeypatch.setenv("CONVERGENCE_LEASE_SECOND", SECRET)

    findings = await service_settings.look(world(ServiceSettings(), "auth"))

    assert named(findings) == {("setting-unknown", "CONVERGENCE_LEASE_SECOND")}, "another service's setting is no finding"
    assert "CONVERGENCE_LEASE_SECONDS" in findings[0].problem
    assert SECRET not in str(findings)


async def test_a_role_that_no_key_gives_is_found() -> None:
    key = AdminKey(role="scheduler", sha256="0" * 64)
    assert named(await admin_keys.look(world(ServiceSettings(admin_keys=(key,))))) == {("admin-keys-missing", "provisioner")}
    both = (key, AdminKey(role="provisioner", sha256="1" * 64))
    assert await admin_keys.look(world(ServiceSettings(admin_keys=both))) == []


async def test_an_emulator_that_does_not_listen_is_found() -> None:
    [port] = free_ports(1)
    settings = ServiceSettings(bigquery_emulator_host=f"http://127.0.0.1:{port}")
    assert named(await emulators.look(world(settings))) == {("emulator-missing", "BIGQUERY_EMULATOR_HOST")}


async def test_a_process_without_an_account_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    assert named(await account.look(world(ServiceSettings()))) == {("account-missing", "Google Cloud")}


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    mint(tmp_path / "tls", now=NOW)
    return tmp_path / "tls"


async def found_in(tls: Path, *, now: datetime = NOW) -> set[tuple[str, str]]:
    return named(await certificates.look(world(ServiceSettings(tls_dir=tls), "auth", "executor", now=now)))


async def test_certificates_that_fit_are_no_finding(tls: Path) -> None:
    assert await found_in(tls) == set()


async def test_certificates_that_are_missing_or_another_s_or_end_soon_are_found(tls: Path, tmp_path: Path) -> None:
    soon = NOW + VALID - timedelta(days=13)
    assert ("certificate-expiring", "executor") in await found_in(tls, now=soon)
    assert ("certificate-unfit", "executor") in await found_in(tls, now=NOW + VALID)

    (tls / "executor.pem").write_bytes((tls / "auth.pem").read_bytes())
    assert await found_in(tls) == {("certificate-unfit", "executor")}, "the key is another's"
    (tls / "executor.key").write_bytes((tls / "auth.key").read_bytes())
    assert await found_in(tls) == {("certificate-unfit", "executor")}, "so is the name"
    (tls / "executor.pem").unlink()
    assert await found_in(tls) == {("certificate-missing", "executor")}
    mint(tmp_path / "other", now=NOW)
    (tls / "ca.pem").write_bytes((tmp_path / "other" / "ca.pem").read_bytes())
    assert ("certificate-unfit", "auth") in await found_in(tls)


async def test_a_spool_that_cannot_be_used_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONVERGENCE_SPOOL_DIR", str(tmp_path / "none"))
    assert named(await spool.look(world(ServiceSettings()))) == {("spool-unusable", str(tmp_path / "none"))}
    full = spool.judge(tmp_path, is_there=True, is_writable=True, free_bytes=spool.LEAST_BYTES - 1)
    closed = spool.judge(tmp_path, is_there=True, is_writable=False, free_bytes=2**40)
    assert ("MiB left" in full[0].problem, "cannot be written" in closed[0].problem) == (True, True)
    assert spool.judge(tmp_path, is_there=True, is_writable=True, free_bytes=spool.LEAST_BYTES) == []
    assert ExecutorSettings().spool_dir == tmp_path / "none"


def test_a_container_stands_for_the_service_whose_certificate_it_has(tls: Path, tmp_path: Path) -> None:
    assert stands_for((), tls) == SERVICES
    for name in ("auth", "credentials", "scheduler"):
        (tls / f"{name}.pem").unlink()
    assert stands_for((), tls) == ("executor",)
    assert stands_for(("auth",), tls) == ("auth",)
    assert stands_for((), tmp_path / "none") == SERVICES


def test_the_roles_are_those_of_the_page() -> None:
    page = (REPOSITORY / "docs/google-cloud.md").read_text()
    lines = page.partition("| account | `dataEditor` on | `dataViewer` on |")[2].partition("\n\n")[0].splitlines()
    cells = {row[1].strip(): row[2] for row in (line.split("|") for line in lines[2:])}
    for service, tables in EDITS.items():
        assert cells[service].split("`")[1::2] == list(tables), service
    wanted = {f"use_{table}" for tables in EDITS.values() for table in tables} | {
        f"read_{table}" for tables in READS.values() for table in tables
    }
    assert BLOCKS.keys() == wanted | {"run_a_job"}


def test_the_page_lists_every_finding() -> None:
    page = (REPOSITORY / "docs/cli.md").read_text()
    sources = [*(REPOSITORY / "services/doctor").rglob("*.py"), *(REPOSITORY / "client/src/convergence/cli/doctor").rglob("*.py")]
    names = {part.partition('"')[0] for path in sources for part in path.read_text().split('name="')[1:] if "-" in part.partition('"')[0]}
    names -= {check.name for check in CHECKS} | {"plain-http", "api-key", "admin-key", "expiring-keys"}
    assert len(names) > 20
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_as_a_program_it_prints_json_and_ends_with_1(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_GCE_CHECK": "true", "CONVERGENCE_TLS_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "services.doctor"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    statuses = {one["check"]: one["status"] for one in json.loads(done.stdout)["checks"]}
    assert statuses["account"] == statuses["certificates"] == statuses["admin-keys"] == "PROBLEM"
    assert statuses["roles"] == statuses["kms-key"] == "SKIPPED"
