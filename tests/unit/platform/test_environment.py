"""What a process says of an environment that it cannot start with."""

import json
from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings, EnvSettingsSource

from console.settings import ConsoleSettings
from gateway.settings import GatewaySettings
from localcloud.settings import LocalSettings
from services.auth.settings import AuthSettings
from services.credentials.settings import CredentialsSettings
from services.executor.settings import ExecutorSettings
from services.platform.environment.reading import EnvironmentSettings, read, wrong_in
from services.platform.environment.reading import variable as variable_of
from services.platform.environment.wording import EXAMPLES
from services.scheduler.settings import SchedulerSettings

KINDS: tuple[type[BaseSettings], ...] = (AuthSettings, CredentialsSettings, ExecutorSettings, SchedulerSettings, GatewaySettings)


def said(kind: type[BaseSettings], capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        read(kind)
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()


def json_fields(kind: type[BaseSettings]) -> set[str]:
    source = EnvSettingsSource(kind)
    return {name for name, field in kind.model_fields.items() if source.field_is_complex(field)}


@pytest.mark.parametrize("kind", KINDS)
def test_each_setting_that_is_json_is_refused_with_its_variable_and_an_example(
    kind: type[BaseSettings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No value is shown, for it may be a secret."""
    names = json_fields(kind)
    assert names
    for name in names:
        variable = f"{kind.model_config['env_prefix']}{name}".upper()
        with monkeypatch.context() as patched:
            patched.setenv(variable, "nonsense")
            [line] = said(kind, capsys)
        assert line.startswith(f"This process does not start: {variable}: "), line
        assert line.endswith(f" It is JSON, e.g. {variable}='{EXAMPLES[name]}'"), line
        assert "nonsense" not in line


def test_the_examples_are_json_of_settings_that_there_are() -> None:
    assert set(EXAMPLES) == set[str]().union(*map(json_fields, KINDS), json_fields(LocalSettings))
    for name, example in EXAMPLES.items():
        assert json.loads(example), name


def test_all_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CONVERGENCE_LEASE_SECONDS", "soon")
    monkeypatch.setenv("CONVERGENCE_TOKEN_SECRETS", '["short-secret"]')
    lines = said(AuthSettings, capsys)
    assert [line.split(": ")[1] for line in lines] == ["CONVERGENCE_TOKEN_SECRETS", "CONVERGENCE_LEASE_SECONDS"]
    assert "short-secret" not in "".join(lines)


def test_a_good_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVERGENCE_TENANT_LOCATIONS", EXAMPLES["tenant_locations"])
    monkeypatch.setenv("CONVERGENCE_OTLP_HEADERS", EXAMPLES["otlp_headers"])
    settings = read(AuthSettings)
    assert (list(settings.tenant_locations), settings.otlp_headers["authorization"].get_secret_value()) == (["EU"], "Bearer ...")


def test_no_path_is_empty_for_that_is_the_working_directory(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    kinds: tuple[type[BaseSettings], ...] = (*KINDS, LocalSettings)
    for kind in kinds:
        paths = [name for name, field in kind.model_fields.items() if field.annotation in (Path, Path | None)]
        assert paths, kind
        for name in paths:
            alias = kind.model_fields[name].validation_alias
            variable = alias if isinstance(alias, str) else f"{kind.model_config['env_prefix']}{name}".upper()
            with monkeypatch.context() as patched:
                patched.setenv(variable, "")
                [line] = said(kind, capsys)
            cause = f"This process does not start: {variable}: it is empty: give a path, or leave it out for its default."
            assert line.partition(" E.g. ")[0] == cause


def test_the_console_says_it_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CONSOLE_MAX_STREAMS", "s3cret")
    monkeypatch.setenv("CONSOLE_LISTEN_PORT", "s3cret")
    with pytest.raises(SystemExit) as ended:
        read(ConsoleSettings)
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["CONSOLE_LISTEN_PORT", "CONSOLE_MAX_STREAMS"]
    assert "s3cret" not in "".join(lines)


def test_another_environment_is_judged_as_its_process_would(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """And without this process's own."""
    wrong = {"CONVERGENCE_LEASE_SECONDS": "soon", "convergence_oidc": "nonsense", "BIGQUERY_EMULATOR_HOST": "http://b"}
    monkeypatch.setenv("CONVERGENCE_PLAN_DEFAULTS", "nonsense")
    found = wrong_in(AuthSettings, wrong)
    monkeypatch.delenv("CONVERGENCE_PLAN_DEFAULTS")
    assert wrong_in(AuthSettings, {}) == []
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    assert [f"This process does not start: {one}" for one in found] == said(AuthSettings, capsys)
    assert len(found) == 2


ANY_TEXT = {
    "CONSOLE_OIDC_CLIENT_ID": "the issuer's",
    "CONSOLE_OIDC_SCOPES": "the issuer's",
    "CONVERGENCE_NOTIFY_SMTP_FROM": "judged with the host, without which it has no effect",
    "CONVERGENCE_NOTIFY_SMTP_USER": "the mail server's, and judged with the password",
}
"""Settings that may be any text, with the reason. Paths and secrets may be, too."""
IS_ANY = (Path, Path | None, SecretStr | None)
NO_NUMBERS = ("inf", "nan", "1e999", "-1", "9" * 400)


@pytest.mark.parametrize("kind", [*KINDS, ConsoleSettings, LocalSettings])
def test_what_no_value_can_be_is_refused_by_each_settings_name(kind: type[BaseSettings]) -> None:
    """Of all fields, so also of those to come. What passes here would fail later, in the middle of a call, or never."""
    for name, field in kind.model_fields.items():
        variable = variable_of(kind, (name,))
        is_number = {int, float} & set(get_args(field.annotation) or (field.annotation,))
        wrong = NO_NUMBERS if is_number else () if field.annotation in IS_ANY or variable in ANY_TEXT else ("no such\nthing",)
        for value in wrong:
            lines = wrong_in(kind, {variable: value})
            assert {line.partition(":")[0] for line in lines} == {variable}, (variable, value[:9])


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (GatewaySettings, "GATEWAY_CORS_ORIGIN", "notaurl"),
        (GatewaySettings, "GATEWAY_CORS_ORIGIN", "http://a.test,https://b.test/"),
        (GatewaySettings, "GATEWAY_CORS_ORIGIN", "https://A.test"),
        (GatewaySettings, "GATEWAY_CORS_ORIGIN", "https://a.test:443"),
        (GatewaySettings, "GATEWAY_STATS_PORT", "99999"),
        (ExecutorSettings, "CONVERGENCE_RUN_MAX_COST_USD", "1e999"),
        (ExecutorSettings, "CONVERGENCE_LISTEN", "0.0.0.0"),
        (ExecutorSettings, "CONVERGENCE_LEASE_SECONDS", "0"),
        (AuthSettings, "CONVERGENCE_AUDIT_DAYS", "4000000000"),
        (AuthSettings, "CONVERGENCE_PLAN_DEFAULTS", '{"max_queued_runs": -1}'),
        (ConsoleSettings, "CONSOLE_GATEWAY_CA", ""),
        (ConsoleSettings, "CONSOLE_FORWARDED_ALLOW_IPS", "10.0.0.1,proxy"),
    ],
)
def test_a_value_that_would_fail_later_or_never_is_refused(kind: type[BaseSettings], name: str, value: str) -> None:
    [line] = wrong_in(kind, {name: value})
    assert line.startswith(f"{name}: ")


def test_what_is_meant_to_pass_does() -> None:
    for kind, name, value in (
        (GatewaySettings, "GATEWAY_CORS_ORIGIN", " http://a.test:3000, https://b.test,capacitor://localhost,http://[::1]:8080"),
        (GatewaySettings, "GATEWAY_CORS_ORIGIN", ""),
        (ExecutorSettings, "CONVERGENCE_AUTH_ADDRESS", "ipv4:10.0.0.1:50051,10.0.0.2:50051"),
        (ExecutorSettings, "CONVERGENCE_LISTEN", "[::]:0"),
        (ExecutorSettings, "CONVERGENCE_RUN_DAYS", "0"),
        (ConsoleSettings, "CONSOLE_FORWARDED_ALLOW_IPS", "10.0.0.0/8, ::1"),
    ):
        assert wrong_in(kind, {name: value}) == [], name


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (AuthSettings, "CONVERGENCE_PLAN_DEFAULTS", '{"max_schedulez": 2}'),
        (AuthSettings, "CONVERGENCE_ADMIN_KEYS", '[{"role": "scheduler", "sha256": "%s", "until": "x"}]' % ("0" * 64)),
        (LocalSettings, "LOCALCLOUD_GATEWAY_PORT", "99999"),
    ],
)
def test_a_part_that_nothing_knows_and_a_port_that_is_none_are_refused(kind: type[EnvironmentSettings], name: str, value: str) -> None:
    [line] = wrong_in(kind, {name: value})
    assert line.startswith(f"{name}")
    assert ("max_schedules" in line) == ("max_schedulez" in value)
