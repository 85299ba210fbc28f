"""docker-compose.yml cannot be run here, so its shape is checked, and that it sets only variables that the programs read."""

import json
import re
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from console.settings import ConsoleSettings
from gateway.settings import GatewaySettings
from localcloud.healthcheck import check_of
from localcloud.settings import SERVICES, LocalSettings
from services.credentials.settings import CredentialsSettings
from services.executor.settings import ExecutorSettings
from services.platform.settings import REPOSITORY, ServiceSettings

ROOT = REPOSITORY
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PARTS: dict[str, dict[str, Any]] = COMPOSE["services"]
# What `docker compose` itself fills in.
FILLED_IN = {
    "ADMIN_API_KEY": "admin_0",
    "CONSOLE_PORT": "8090",
    "ADMIN_API_KEY_SHA256": "0" * 64,
    "CONVERGENCE_TOKEN_SECRETS": "[]",
    "GATEWAY_CORS_ORIGIN": "http://localhost:3000,http://localhost:5173",
    "GATEWAY_PORT": "8080",
    "OTLP_ENDPOINT": "",
}


def settings_of(part: str) -> list[type[BaseSettings]]:
    """Which settings a part reads; its health check reads LocalSettings."""
    match part:
        case "gateway":
            return [GatewaySettings, LocalSettings]
        case "console":
            return [ConsoleSettings, LocalSettings]
        case "credentials":
            return [CredentialsSettings, LocalSettings]
        case "executor":
            return [ExecutorSettings, LocalSettings]
        case _ if part in {*SERVICES, "bootstrap"}:
            return [ServiceSettings, LocalSettings]
        case _:
            return [LocalSettings]


def variables(settings: type[BaseSettings]) -> set[str]:
    """The environment variables that a settings class reads."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    names = set()
    for name, field in settings.model_fields.items():
        alias = field.validation_alias
        assert not isinstance(alias, AliasChoices)
        names.add(alias if isinstance(alias, str) else (prefix + name).upper())
    return names


@pytest.mark.parametrize("part", PARTS)
def test_every_variable_is_one_that_the_settings_know(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And every value one that they take."""
    environment = {name: _filled(value) for name, value in PARTS[part]["environment"].items()}
    known = set().union(*(variables(settings) for settings in settings_of(part)))
    if part == "cloud_scheduler":
        # What its jobs' placeholders stand for.
        known |= {"GATEWAY_URL", "ADMIN_API_KEY"}
    assert set(environment) <= known

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for settings in settings_of(part):
        settings()


@pytest.mark.parametrize("part", PARTS)
def test_every_command_is_a_module_that_exists(part: str) -> None:
    [module] = PARTS[part]["command"]
    path = ROOT / module.replace(".", "/")
    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_the_whole_suite_is_there() -> None:
    emulators = {"bigquery", "kms", "google_sts", "aws", "azure"}
    assert set(PARTS) == {*emulators, "certs", "bootstrap", *SERVICES, "gateway", "console", "cloud_scheduler"}


def test_what_runs_on_is_watched_and_what_is_waited_for_says_when() -> None:
    """Every part but the two jobs has a health check that exists; nobody waits for the health of a part that has none."""
    for name, part in PARTS.items():
        if part["restart"] == "no":
            assert "healthcheck" not in part
        else:
            assert part["healthcheck"]["test"] == ["CMD", "python", "-m", "localcloud.healthcheck", name]
            assert callable(check_of(name, LocalSettings()))
        for needed, how in part.get("depends_on", {}).items():
            job = PARTS[needed]["restart"] == "no"
            assert how["condition"] == ("service_completed_successfully" if job else "service_healthy")


def test_addresses_lead_to_the_part_they_name() -> None:
    """One port a service, the same wherever it is said."""
    for name in SERVICES:
        port = PARTS[name]["environment"]["CONVERGENCE_LISTEN"].rpartition(":")[2]
        assert port == str(LocalSettings().port(name))
        assert PARTS[name]["environment"][f"CONVERGENCE_{name.upper()}_ADDRESS"] == f"{name}:{port}"
        assert PARTS["gateway"]["environment"][f"GATEWAY_{name.upper()}_HOST"] == name
        assert PARTS["gateway"]["environment"][f"GATEWAY_{name.upper()}_PORT"] == port


def test_only_gateway_and_console_can_be_reached_and_only_from_this_machine() -> None:
    open_to_callers = {name: part["ports"] for name, part in PARTS.items() if "ports" in part}
    assert set(open_to_callers) == {"gateway", "console"}
    assert all(port.startswith("127.0.0.1:") for ports in open_to_callers.values() for port in ports)


def test_both_roles_have_the_admin_key() -> None:
    keys = json.loads(_filled(PARTS["auth"]["environment"]["CONVERGENCE_ADMIN_KEYS"]))
    assert {key["role"] for key in keys} == {"provisioner", "scheduler"}


def test_volumes_are_declared_and_the_image_gives_them_to_its_user() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    mounts = [mount.split(":") for part in PARTS.values() for mount in part.get("volumes", [])]
    assert {name for name, *_ in mounts} == set(COMPOSE["volumes"])
    assert all(f" {folder}" in dockerfile for _, folder, *_ in mounts)


def test_what_the_image_copies_is_sent_to_the_builder() -> None:
    """.dockerignore leaves out all but what it lists, and a path is listed by itself or by its folder."""
    listed = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert {source for source in sources if not any(f"{source}/".startswith(f"{one}/") for one in listed)} == set()
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_image_does_not_run_as_root() -> None:
    last_user = re.findall(r"^USER (\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[-1]
    assert last_user not in {"root", "0"}


def _filled(value: str) -> str:
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda match: FILLED_IN[match[1]], value)
