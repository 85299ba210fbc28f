"""What the services of a stack are given, and what stays with the stack when it is started again."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.processes.environment import base_environment, read_env_file, service_environment, write_env_file
from localcloud.processes.given import given_settings
from localcloud.processes.suite import make_process
from localcloud.settings import SERVICES, LocalSettings


def secrets_of(state: Path) -> list[str]:
    environment = service_environment(LocalSettings(state_dir=state), admin_key="admin")
    found: list[str] = json.loads(environment["CONVERGENCE_TOKEN_SECRETS"])
    return found


def test_a_stack_signs_tokens_with_a_secret_of_its_own_which_outlives_it(tmp_path: Path) -> None:
    first, again, other = secrets_of(tmp_path / "a"), secrets_of(tmp_path / "a"), secrets_of(tmp_path / "b")
    assert first == again
    assert first != other
    assert [len(one) >= 32 for one in first] == [True]
    assert stat.S_IMODE((tmp_path / "a" / "token_secret").stat().st_mode) == 0o600


def test_what_a_shell_sources_reaches_the_programs_that_it_starts(tmp_path: Path) -> None:
    environment = {"GATEWAY_URL": "http://127.0.0.1:8080", "ADMIN_API_KEY": "admin_a-_b"}
    write_env_file(tmp_path / "env", environment)
    program = "import os; print(os.environ['GATEWAY_URL'], os.environ['ADMIN_API_KEY'])"
    sourced = subprocess.run(
        ["bash", "-c", f'source "{tmp_path}/env" && "{sys.executable}" -c "{program}"'], capture_output=True, text=True, check=True
    )
    assert sourced.stdout.split() == list(environment.values())
    assert read_env_file(tmp_path / "env") == environment


def test_a_stack_is_not_influenced_by_the_environment_of_its_caller(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GATEWAY_TIMEOUT_SECONDS", "1")
    monkeypatch.setenv("CONVERGENCE_PLAN_DEFAULTS", "{}")
    settings = LocalSettings.model_validate({"state_dir": tmp_path})
    for name in (*SERVICES, "bootstrap", "gateway"):
        environment = {**make_process(settings, name, admin_key="k").environment, **base_environment(settings)}
        assert {"GATEWAY_TIMEOUT_SECONDS", "CONVERGENCE_PLAN_DEFAULTS"}.isdisjoint(environment)


def test_make_up_passes_on_what_was_set_for_services_and_gateway_and_nothing_else(tmp_path: Path) -> None:
    settings = LocalSettings.model_validate({"state_dir": tmp_path})
    mine = {"CONVERGENCE_PLAN_DEFAULTS": '{"max_schedules": 3}', "CONVERGENCE_OIDC": "[]", "GATEWAY_CORS_ORIGIN": "http://a.test"}
    decided = {"CONVERGENCE_LISTEN": "0.0.0.0:1", "CONVERGENCE_ADMIN_KEYS": "s3cret", "GATEWAY_LISTEN_PORT": "1", "GATEWAY_TLS_KEY": "/k"}
    given = given_settings(settings, {**mine, **decided, "GATEWAY_URL": "http://other", "HTTPS_PROXY": "http://p", "AWS_PROFILE": "me"})

    for name in (*SERVICES, "bootstrap"):
        assert given.extra[name] == {"CONVERGENCE_PLAN_DEFAULTS": '{"max_schedules": 3}', "CONVERGENCE_OIDC": "[]"}
    assert given.extra["gateway"] == {"GATEWAY_CORS_ORIGIN": "http://a.test"}
    assert given.passed_on == tuple(sorted(mine))
    assert given.ignored == tuple(sorted([*decided, "GATEWAY_URL"]))
    assert all("s3cret" not in said for said in (*given.lines(), repr(given)))
    assert given.lines()[1].startswith("Not passed on, because this stack decides them: CONVERGENCE_ADMIN_KEYS, CONVERGENCE_LISTEN,")
    assert given_settings(settings, {"PATH": "/bin"}).lines() == []


def test_the_kms_has_the_keys_of_the_tenants_locations(tmp_path: Path) -> None:
    settings = LocalSettings.model_validate({"state_dir": tmp_path})
    key = "projects/p/locations/europe/keyRings/r/cryptoKeys/k"
    given = given_settings(settings, {"CONVERGENCE_TENANT_LOCATIONS": json.dumps({"EU": key})})
    assert (given.extra["kms"], given.passed_on) == ({"LOCALCLOUD_MORE_KMS_KEYS": json.dumps([key])}, ("CONVERGENCE_TENANT_LOCATIONS",))
    for wrong in ("EU", "5", "[1]"):
        assert given_settings(settings, {"CONVERGENCE_TENANT_LOCATIONS": wrong}).extra["kms"] == {}, "the services say what is wrong"


def test_issuers_are_the_stacks_own_where_its_jobs_call_by_tokens(tmp_path: Path) -> None:
    settings = LocalSettings.model_validate({"state_dir": tmp_path, "scheduler_oidc": True})
    assert given_settings(settings, {"CONVERGENCE_OIDC": "[]"}).ignored == ("CONVERGENCE_OIDC",)
