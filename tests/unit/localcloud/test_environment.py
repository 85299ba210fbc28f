"""What the services of a stack are given, and what stays with the stack when it is started again."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from convergence.cli.app import DEBUG
from convergence.client.connection import ENVIRONMENT, PROFILE

from localcloud.processes.environment import base_environment, client_environment, read_env_file, service_environment, write_env_file
from localcloud.processes.given import DECIDED_BY, given_settings
from localcloud.processes.suite import ALL, make_process
from localcloud.processes.wrong_settings import WrongSettings, all_wrong
from localcloud.settings import ENV_PREFIX, SERVICES, LocalSettings
from localcloud.stack import Stack
from services.platform.environment.reading import variables


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
    assert given.lines()[1:4] == [
        "Take care: CONVERGENCE_ADMIN_KEYS has no effect here: this stack decides it.",
        "Take care: CONVERGENCE_LISTEN has no effect here: this stack decides it.",
        "Take care: GATEWAY_LISTEN_PORT has no effect here: this stack decides it, by LOCALCLOUD_GATEWAY_PORT.",
    ]
    assert given_settings(settings, {"PATH": "/bin"}).lines() == []


def test_each_setting_that_the_stack_decides_is_said_with_what_decides_it(tmp_path: Path) -> None:
    """But for what a shell has of the stack's own file."""
    settings = LocalSettings.model_validate({"state_dir": tmp_path, "scheduler_oidc": True})
    given = given_settings(settings, dict.fromkeys(DECIDED_BY, "other"))
    assert given.ignored == tuple(sorted(DECIDED_BY))
    assert {f"{ENV_PREFIX}{name}" for name in DECIDED_BY.values()} <= variables(LocalSettings)
    assert all(line.startswith("Take care: ") and " by LOCALCLOUD_" in line for line in given.lines())
    assert given_settings(settings, client_environment(settings, admin_key="")).lines() == []


def test_what_nothing_reads_is_said_with_what_may_have_been_meant(tmp_path: Path) -> None:
    settings = LocalSettings.model_validate({"state_dir": tmp_path})
    given = given_settings(
        settings,
        {
            "CONVERGENCE_LEASE_SECOND": "s3cret",
            "GATEWAY_TIMEOUT": "1",
            "CONSOLE_IDLE_SECOND": "1",
            "GATEWAY_PORT": "8081",
            "CONVERGENCE_POLL_SECONDS": "1",
            "GATEWAY_URL": "http://a",
            **dict.fromkeys((*ENVIRONMENT.values(), PROFILE, DEBUG), "the client's"),
        },
    )
    assert [(one.variable, one.nearest) for one in given.unknown] == [
        ("CONVERGENCE_LEASE_SECOND", "CONVERGENCE_LEASE_SECONDS"),
        ("GATEWAY_PORT", "LOCALCLOUD_GATEWAY_PORT or GATEWAY_LISTEN_PORT"),
        ("GATEWAY_TIMEOUT", "GATEWAY_TIMEOUT_SECONDS"),
        ("CONSOLE_IDLE_SECOND", "CONSOLE_IDLE_SECONDS"),
    ]
    assert [line.partition(" is ")[0] for line in given.lines() if "CONVERGENCE_LEASE_SECOND " in line] == [
        "Take care: CONVERGENCE_LEASE_SECOND"
    ], "one thing is said of it"
    assert given.lines()[2].endswith(" Did you mean CONVERGENCE_LEASE_SECONDS?")
    assert "s3cret" not in "".join(given.lines())
    assert given.passed_on == ("CONVERGENCE_POLL_SECONDS",)
    assert all("CONVERGENCE_LEASE_SECOND" not in extra for extra in given.extra.values())


def test_a_setting_is_passed_on_whatever_the_case_of_its_name_as_it_is_read(tmp_path: Path) -> None:
    settings = LocalSettings.model_validate({"state_dir": tmp_path})
    given = given_settings(settings, {"convergence_poll_seconds": "1", "convergence_listen": "h:1", "Gateway_Timeout": "1"})
    assert given.extra["scheduler"] == {"CONVERGENCE_POLL_SECONDS": "1"}
    assert (given.ignored, [one.variable for one in given.unknown]) == (("CONVERGENCE_LISTEN",), ["GATEWAY_TIMEOUT"])


def test_what_all_processes_refuse_is_said_before_any_is_started(tmp_path: Path) -> None:
    settings = LocalSettings.on_free_ports(tmp_path / "state")
    wrong = {"CONVERGENCE_MAX_CONCURRENT_RUNS": "0", "CONVERGENCE_OTLP_HEADERS": "s3cret", "GATEWAY_TIMEOUT_SECONDS": "soon"}
    extra = given_settings(settings, {**wrong, "CONSOLE_MAX_STREAMS": "0"}).extra
    with pytest.raises(WrongSettings) as refused:
        Stack(settings, only=ALL, extra=extra).start()
    lines = str(refused.value).splitlines()
    assert [line.partition(":")[0] for line in lines[1:]] == ["CONVERGENCE_OTLP_HEADERS", *sorted(wrong)[::2], "CONSOLE_MAX_STREAMS"]
    assert lines[1].endswith("(refused by bootstrap, auth, credentials, scheduler, executor)")
    assert "s3cret" not in str(refused.value)
    assert not settings.certs_dir.exists()
    assert not settings.logs_dir.exists()


def test_what_is_wrong_with_the_stack_hides_nothing_of_what_it_would_pass_on(tmp_path: Path) -> None:
    """What the stack decides is not read, so it is not wrong. Nothing is left behind."""
    wrong = {"LOCALCLOUD_LEASE_SECONDS": "soon", "LOCALCLOUD_MORE_KMS_KEYS": "[1", "CONVERGENCE_LEASE_SECONDS": "ignored"}
    wrong |= {"convergence_otlp_headers": "s3cret", "GATEWAY_TIMEOUT_SECONDS": "1,000", "CONSOLE_TLS_KEY": "/k"}
    lines = all_wrong({**wrong, "LOCALCLOUD_STATE_DIR": str(tmp_path / "state")})
    assert [line.partition(": ")[0] for line in lines] == [
        "LOCALCLOUD_MORE_KMS_KEYS",
        "LOCALCLOUD_LEASE_SECONDS",
        "CONVERGENCE_OTLP_HEADERS",
        "GATEWAY_TIMEOUT_SECONDS",
        "CONSOLE_TLS_CERTIFICATE and CONSOLE_TLS_KEY",
    ]
    assert lines[3].endswith("E.g. GATEWAY_TIMEOUT_SECONDS=60 (refused by gateway)")
    assert "s3cret" not in "".join(lines)
    assert list(tmp_path.iterdir()) == []
    fine = {name: value for name, value in wrong.items() if not name.startswith("LOCALCLOUD_")}
    assert all_wrong(fine) == [], "the stack itself says the others, before it starts anything"


@pytest.mark.parametrize("module", ["localcloud", "localcloud.bigquery", "localcloud.kms", "localcloud.certs", "localcloud.sample"])
def test_wrong_settings_of_the_stack_itself_are_a_line_each(module: str, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "LOCALCLOUD_STATE_DIR": "", "LOCALCLOUD_KMS_PORT": "s3cret"}
    command = [sys.executable, "-m", module, *(["up"] if module == "localcloud" else [])]
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["LOCALCLOUD_KMS_PORT", "LOCALCLOUD_STATE_DIR"]
    assert "s3cret" not in done.stderr
    assert list(tmp_path.iterdir()) == []


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
