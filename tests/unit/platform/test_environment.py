"""What a process says of an environment that it cannot start with."""

import json

import pytest
from pydantic_settings import BaseSettings, EnvSettingsSource

from gateway.settings import GatewaySettings
from services.auth.settings import AuthSettings
from services.credentials.settings import CredentialsSettings
from services.executor.settings import ExecutorSettings
from services.platform.environment import EXAMPLES, read
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
    assert set(EXAMPLES) == set().union(*map(json_fields, KINDS))
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
