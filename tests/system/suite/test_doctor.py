"""The doctor against a running suite: nothing is found where nothing is wrong, and what is broken is found by its name."""

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import trustme
from convergence.cli.doctor.checks import clock
from convergence.cli.doctor.installation import Installation
from convergence.client import Client

from localcloud.demo.demo_flow import emulated_warehouse
from localcloud.ports import free_ports
from localcloud.processes.environment import admin_key_of, base_environment, service_environment
from localcloud.stack import Stack
from tests.support.attacks.world import ROLE_KEYS
from tests.support.cli import CommandLine
from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.system.tenants import Suite, Tenant

ORIGIN = "http://localhost:3000"


@pytest.fixture(scope="module")
def tenant(running: Suite, private_key: Rsa) -> Tenant:
    # What other tests have left in the queue is a finding, too, once its fire time is half an hour ago.
    local = running.local
    with emulated_warehouse(running.env["BIGQUERY_EMULATOR_HOST"], local.project) as client:
        client.query_and_wait(f"DELETE FROM `{local.project}.{local.control_dataset}.pipeline_execution_queue` WHERE TRUE")
    return running.tenant(private_key)


@pytest.fixture
def doctor(running: Suite, tenant: Tenant, tmp_path: Path) -> Callable[..., set[tuple[str, str]]]:
    """Runs it with these variables instead of good ones; gives what it found."""

    def run(*arguments: str, **changes: str) -> set[tuple[str, str]]:
        good = {
            "XDG_CONFIG_HOME": str(tmp_path),
            "CONVERGENCE_URL": running.env["GATEWAY_URL"],
            "CONVERGENCE_TENANT_ID": tenant.tenant_id,
            "CONVERGENCE_API_KEY": tenant.rest.headers["X-API-Key"],
            "CONVERGENCE_ADMIN_KEY": running.env["ADMIN_API_KEY"],
        }
        changed = {f"CONVERGENCE_{name.upper()}": value for name, value in changes.items()}
        ended = CommandLine(environment={**good, **changed}).run("doctor", "--json", *arguments)
        found = {(one["name"], one["subject"]) for check in ended.json["checks"] for one in check["findings"]}
        assert (ended.code, ended.json["healthy"]) == (int(bool(found)), not found), ended.out
        assert all(one["mend"] and one["problem"] for check in ended.json["checks"] for one in check["findings"])
        return found

    return run


Doctor = Callable[..., set[tuple[str, str]]]


def test_nothing_is_found_where_nothing_is_wrong(stack: Stack, doctor: Doctor) -> None:
    assert doctor("--origin", ORIGIN) == set()
    inside = {**base_environment(stack.settings), **service_environment(stack.settings, admin_key=admin_key_of(stack.settings))}
    # The clouds that this suite does without.
    inside = {name: value for name, value in inside.items() if not name.startswith(("AWS", "AZURE", "GOOGLE_STS"))}
    (stack.settings.state_dir / "spool").mkdir(exist_ok=True)
    done = subprocess.run([sys.executable, "-m", "services.doctor"], env=inside, capture_output=True, text=True, check=False)
    checks = {one["check"]: (one["status"], one["findings"]) for one in json.loads(done.stdout)["checks"]}
    assert (done.returncode, {name for name, (status, _) in checks.items() if status != "OK"}) == (0, {"account"}), checks


def test_no_gateway_and_another_s_web_server_are_distinguished(running: Suite, doctor: Doctor) -> None:
    [port] = free_ports(1)
    nowhere, other = f"http://127.0.0.1:{port}", running.env["BIGQUERY_EMULATOR_HOST"]
    assert doctor(url=nowhere) == {("gateway-unreachable", nowhere)}
    assert doctor(url="http://no-such-host.invalid") == {("gateway-unreachable", "http://no-such-host.invalid")}
    assert doctor(url=other) == {("not-convergence", other)}


def test_a_gateway_that_speaks_no_tls_is_found(running: Suite, doctor: Doctor) -> None:
    url = running.env["GATEWAY_URL"].replace("http://", "https://")
    assert doctor(url=url) == {("gateway-tls", url)}


@contextmanager
def proxy(upstream: str, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A proxy that speaks HTTP/1 only, on this port; over TLS, if it is given."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            kept = [(name, value) for name, value in self.headers.items() if name.lower().startswith("x-")]
            answer = requests.get(upstream + self.path, headers=dict(kept), timeout=10)
            self.send_response(answer.status_code)
            for name, value in (
                ("server", answer.headers["server"]),
                ("content-type", "application/json"),
                ("content-length", str(len(answer.content))),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A greeting that this end does not understand is what is tested."""

    with Quiet(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_proxy_that_does_not_pass_on_grpc_is_found(running: Suite, doctor: Doctor) -> None:
    with proxy(running.env["GATEWAY_URL"]) as port:
        assert ("grpc-blocked", f"127.0.0.1:{port}") in doctor(url=f"http://127.0.0.1:{port}")


def test_a_certificate_that_is_not_trusted_or_ends_soon_is_found(running: Suite, doctor: Doctor, tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=3)).configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with proxy(running.env["GATEWAY_URL"], context) as port:
        url = f"https://127.0.0.1:{port}"
        assert doctor(url=url) == {("gateway-tls", url)}
        assert ("gateway-certificate-expiring", "127.0.0.1") in doctor(url=url, ca_file=str(tmp_path / "ca.pem"))


def test_keys_that_do_not_work_are_found(running: Suite, tenant: Tenant, private_key: Rsa, doctor: Doctor) -> None:
    assert doctor(api_key="cvg_unknown") == {("api-key-refused", tenant.tenant_id)}
    keys = f"/api/v1/tenants/{tenant.tenant_id}/api-keys"
    issued = running.admin.call("POST", keys, {}).body
    assert running.admin.call("DELETE", f"{keys}/{issued['api_key_id']}").status == 200
    assert doctor(api_key=issued["api_key"]) == {("api-key-refused", tenant.tenant_id)}, "revoked"

    assert doctor(admin_key="admin_unknown") == {("admin-key-refused", "admin key")}
    assert doctor(admin_key=ROLE_KEYS["scheduler"]) == {("admin-role-missing", "provisioner")}
    assert doctor(admin_key=ROLE_KEYS["provisioner"]) == {("admin-role-missing", "scheduler")}

    other = running.tenant(private_key)
    assert doctor(tenant_id=other.tenant_id) == {("tenant-mismatch", other.tenant_id)}
    assert running.admin.call("POST", f"/api/v1/tenants/{other.tenant_id}:suspend", {}).status == 200
    of_other = doctor(tenant_id=other.tenant_id, api_key=other.rest.headers["X-API-Key"])
    assert of_other == {("tenant-not-active", other.tenant_id)}


def test_a_key_that_ends_soon_and_is_in_use_is_found(running: Suite, private_key: Rsa, doctor: Doctor) -> None:
    tenant = running.tenant(private_key)
    soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    issued = running.admin.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/api-keys", {"expires_at": soon}).body
    running.query(
        f"UPDATE {running.local.control_dataset}.tenant_api_keys SET last_used_at = CURRENT_TIMESTAMP() "
        f"WHERE api_key_id = '{issued['api_key_id']}'"
    )
    found = doctor(tenant_id=tenant.tenant_id, api_key=issued["api_key"])
    assert found == {("api-key-expiring", issued["api_key_id"])}


def test_an_origin_that_is_not_listed_is_found(doctor: Doctor) -> None:
    assert doctor("--origin", "https://other.example") == {("cors-origin-refused", "https://other.example")}


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_clock_that_is_wrong_is_found(running: Suite, minutes: int) -> None:
    with Client(running.env["GATEWAY_URL"]) as client, Installation.of(client) as installation:
        assert clock.look(installation) == []
        wrong = replace(installation, now=lambda: datetime.now(UTC) + timedelta(minutes=minutes))
        [finding] = clock.look(wrong)
    assert finding.name == "clock-skew"
    assert ("ahead of" if minutes > 0 else "behind") in finding.problem


def test_credentials_that_stopped_working_are_found(running: Suite, private_key: Rsa, doctor: Doctor) -> None:
    tenant = running.tenant(private_key)
    assert tenant.set_credentials().status == 200
    export = f"{tenant.project}.finance.gcp_billing_export_v1_{ACCOUNT}"
    load(running.env["BIGQUERY_EMULATOR_HOST"], export, many(date(2025, 11, 17), 3, seed=1), STANDARD)
    checked = tenant.rest.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/credentials/gcp:check", {"export": export})
    assert checked.body["verdict"] == "WORKS", checked.body
    as_tenant = {"tenant_id": tenant.tenant_id, "api_key": tenant.rest.headers["X-API-Key"]}
    assert doctor(**as_tenant) == set()

    # The tenant takes the export away, and the night comes.
    with running.warehouse as warehouse:
        warehouse.delete_table(export)
    running.query(
        f"UPDATE {running.local.control_dataset}.tenant_cloud_credentials "
        f"SET access_checked_at = TIMESTAMP_SUB(access_checked_at, INTERVAL 2 DAY) WHERE tenant_id = '{tenant.tenant_id}'"
    )
    assert running.admin.call("POST", "/api/v1/scheduler/check-credentials", {}).body["stopped_count"] >= 1

    assert doctor(**as_tenant) == {("credentials-not-working", "GCP")}


def test_a_job_that_stopped_firing_is_found(running: Suite, doctor: Doctor) -> None:
    def overdue() -> set[str]:
        return {subject for name, subject in doctor() if name == "job-overdue"}

    events = f"{running.local.control_dataset}.platform_events"
    # Other tests call jobs by hand, minutes ago; this suite has no Cloud Scheduler.
    running.query(f"DELETE FROM {events} WHERE kind = 'JOB_SUCCEEDED'")
    assert overdue() == set()
    long_ago = datetime.now(UTC) - timedelta(days=3)
    running.query(
        f"INSERT INTO {events} (event_id, time, kind, service, name) "
        f"VALUES ('long-ago', TIMESTAMP '{long_ago.isoformat()}', 'JOB_SUCCEEDED', 'scheduler', 'trigger')"
    )
    assert "trigger" in overdue()
    running.query(f"DELETE FROM {events} WHERE event_id = 'long-ago'")
    assert overdue() == set()


def test_a_service_that_is_down_is_found_by_its_name(stack: Stack, doctor: Doctor) -> None:
    stack.stop_process("credentials")
    try:
        assert ("service-down", "credentials") in doctor()
    finally:
        stack.restart("credentials")
