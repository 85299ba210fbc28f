"""docker-compose.yml and the Dockerfile are run by `make containers` alone, so their shape is checked here: who waits for whom, what may be
reached, and that only variables are set that the programs read.
"""

import json
import re
from typing import Any

import pytest
from pydantic_settings import BaseSettings

from console.settings import ConsoleSettings
from gateway.settings import GatewaySettings
from localcloud.healthcheck import check_of
from localcloud.settings import SERVICES, LocalSettings
from services.auth.settings import AuthSettings
from services.credentials.settings import CredentialsSettings
from services.executor.settings import ExecutorSettings
from services.platform.environment.reading import variables
from services.platform.settings import REPOSITORY, ServiceSettings
from services.scheduler.settings import SchedulerSettings
from tests.support.yaml_text import parsed

ROOT = REPOSITORY
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = parsed((ROOT / "docker-compose.yml").read_text())
PARTS: dict[str, dict[str, Any]] = {name: part for name, part in COMPOSE["services"].items() if "build" in part}
"""Those of our own images."""
JOBS = {name for name, part in PARTS.items() if part["restart"] == "no"}
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
SETTINGS: dict[str, type[BaseSettings]] = {
    "auth": AuthSettings,
    "bootstrap": ServiceSettings,
    "console": ConsoleSettings,
    "credentials": CredentialsSettings,
    "executor": ExecutorSettings,
    "gateway": GatewaySettings,
    "scheduler": SchedulerSettings,
}
CALLERS = {
    "cloud_scheduler": {"GATEWAY_URL", "ADMIN_API_KEY"},
    "demo": {"GATEWAY_URL", "ADMIN_API_KEY", "GOOGLE_CLOUD_PROJECT", "BIGQUERY_EMULATOR_HOST", "AWS_EMULATOR_HOST"},
}
"""What callers of the gateway read besides LocalSettings: placeholders of the jobs, addresses of `.local/env`."""


@pytest.mark.parametrize("part", PARTS)
def test_every_variable_is_one_that_the_program_reads(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And every value one that it takes."""
    environment = {name: _filled(value) for name, value in PARTS[part]["environment"].items()}
    settings = SETTINGS.get(part, LocalSettings)
    assert set(environment) <= variables(settings) | CALLERS.get(part, set())

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings()


def test_what_the_roles_of_two_services_need_is_given() -> None:
    """Identity tokens, and a folder that can be written."""
    assert {"CONVERGENCE_ISSUER_URL", "CONVERGENCE_TOKEN_SIGNING_KEY"} <= set(PARTS["credentials"]["environment"])
    spool = PARTS["executor"]["environment"]["CONVERGENCE_SPOOL_DIR"]
    assert f"spool:{spool}" in PARTS["executor"]["volumes"]


@pytest.mark.parametrize("part", PARTS)
def test_every_program_exists_and_its_image_holds_it(part: str) -> None:
    """The gateway's image has one program, which needs no name."""
    [module] = PARTS[part].get("command", ["gateway"])[:1]
    path = ROOT / module.replace(".", "/")
    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
    folder, target = module.partition(".")[0], PARTS[part]["build"]["target"]
    assert PARTS[part]["image"] == f"convergence-{target}"
    assert {folder} & _copied("runtime", target), f"the image {target} holds no {folder}"


def test_the_whole_suite_is_there() -> None:
    emulators = {"bigquery", "kms", "google_sts", "aws", "azure"}
    assert set(PARTS) == {*emulators, "certs", "bootstrap", *SERVICES, "gateway", "console", "cloud_scheduler", "sample", "demo"}
    assert {name for name, part in PARTS.items() if "profiles" in part} == {"sample", "demo"}


def test_services_gateway_and_console_run_from_the_images_of_production() -> None:
    assert {PARTS[name]["build"]["target"] for name in (*SERVICES, "bootstrap", "console")} == {"production"}
    assert PARTS["gateway"]["build"]["target"] == "gateway"


def test_what_runs_on_is_watched_and_what_is_waited_for_says_when(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part but the jobs has a health check that exists, on a port that the part has; no part waits for the health of one without."""
    monkeypatch.setenv("GATEWAY_URL", PARTS["cloud_scheduler"]["environment"]["GATEWAY_URL"])
    for name, part in PARTS.items():
        match part.get("healthcheck", {}).get("test"):
            case None:
                assert name in JOBS
            case ["CMD", "python", "-m", "localcloud.healthcheck", emulator]:
                assert emulator == name
                assert callable(check_of(name, LocalSettings()))
            case ["CMD", "python", "-m", "services.probe", url]:
                port = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/(healthz|readyz)", url)
                assert port is not None
                assert port[1] in part["environment"].values()
            case test:
                pytest.fail(f"{name}: {test}")
        for needed, how in part.get("depends_on", {}).items():
            assert how["condition"] == ("service_completed_successfully" if needed in JOBS else "service_healthy")


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


@pytest.mark.parametrize("part", PARTS)
def test_no_part_can_take_more_than_it_is_given_or_write_to_its_image(part: str) -> None:
    assert PARTS[part]["read_only"]
    assert PARTS[part]["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in PARTS[part]["security_opt"]
    assert PARTS[part]["mem_limit"]
    assert PARTS[part]["pids_limit"]


def test_both_roles_have_the_admin_key() -> None:
    keys = json.loads(_filled(PARTS["auth"]["environment"]["CONVERGENCE_ADMIN_KEYS"]))
    assert {key["role"] for key in keys} == {"provisioner", "scheduler"}


def test_volumes_are_declared_and_each_image_gives_them_to_its_user() -> None:
    mounts = {(part["build"]["target"], *mount.split(":")[:2]) for part in PARTS.values() for mount in part.get("volumes", [])}
    assert {name for _, name, _ in mounts} <= set(COMPOSE["volumes"])
    owned = {target: re.findall(r" (/data\S*)", _stage("runtime") + _stage(target)) for target, *_ in mounts}
    assert [(target, folder) for target, _, folder in mounts if folder not in owned[target]] == []


def test_what_the_image_copies_is_sent_to_the_builder() -> None:
    """.dockerignore leaves out all but what it lists, and a path is listed by itself or by its folder."""
    listed = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert {source for source in sources if not any(f"{source}/".startswith(f"{one}/") for one in listed)} == set()
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_no_image_runs_as_root_or_holds_tests() -> None:
    for target in ("production", "gateway", "local"):
        assert re.findall(r"^USER (\w+)$", _stage("runtime") + _stage(target), re.MULTILINE)[-1] == "10001"
        assert not {"tests", "tools", "benchmarks", "docs"} & _copied("runtime", target)
    assert "localcloud" not in _copied("runtime", "production", "gateway")


def _stage(name: str) -> str:
    """The lines of one stage of the Dockerfile."""
    [text] = re.findall(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.DOTALL | re.MULTILINE)
    return str(text)


def _copied(*stages: str) -> set[str]:
    """What these stages copy from the clone."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", "".join(map(_stage, stages)), re.MULTILINE)
    return {source for line in lines for source in line.split()}


def _filled(value: str) -> str:
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda match: FILLED_IN[match[1]], value)
