"""Each variable that chart, Terraform, compose file or Dockerfile names is one that a program reads, and what must be given is given."""

import re
from pathlib import Path

import pytest

from console.settings import ConsoleSettings
from gateway.settings import GatewaySettings
from services.platform.settings import REPOSITORY, ServiceSettings
from tests.support.yaml_text import parsed
from tools.chart_schema import CHART, OWN, SERVICES, variables

NAMED = re.compile(r"\b(?:CONVERGENCE|GATEWAY|CONSOLE)_[A-Z0-9_]+\b")
READ = {*variables(*SERVICES.values(), GatewaySettings, ConsoleSettings), *OWN}
OTHERS = {"GATEWAY_URL", "GATEWAY_PORT", "CONSOLE_PORT"}
"""Not settings: a placeholder of the jobs, and ports of the machine that docker-compose.yml publishes."""
FILES = [
    *sorted(path for path in (REPOSITORY / "deploy").rglob("*") if path.is_file() and path.name != "values.schema.json"),
    REPOSITORY / "docker-compose.yml",
    REPOSITORY / "Dockerfile",
]
PEERS = {f"CONVERGENCE_{name.upper()}_ADDRESS" for name in SERVICES}
MUST_BE_GIVEN = {"GOOGLE_CLOUD_PROJECT", "CONVERGENCE_KMS_KEY", "CONVERGENCE_LOCATION", "CONVERGENCE_LISTEN", "CONVERGENCE_METRICS_PORT"}
"""To each service: without them it starts all the same, with a laptop's project and key, or where no probe reaches it."""
SECRETS = {"CONVERGENCE_ADMIN_KEYS", "CONVERGENCE_TOKEN_SECRETS"}
"""Without them no admin is let in, and each replica signs page tokens with a secret of its own."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_variable_that_a_file_names_is_read_by_a_program(path: Path) -> None:
    """Templates complete names that end with an underscore by a service's, `CONVERGENCE_%s_ADDRESS` likewise."""
    named = {name for name in NAMED.findall(path.read_text()) if not name.endswith("_")}
    assert named - READ - OTHERS == set()


@pytest.mark.parametrize("service", SERVICES)
def test_the_compose_file_gives_each_service_what_must_be_given(service: str) -> None:
    """And the addresses of all emulators: a service that misses one would call the real cloud."""
    given = parsed((REPOSITORY / "docker-compose.yml").read_text())["services"][service]["environment"]
    emulators = {str(field.validation_alias) for name, field in ServiceSettings.model_fields.items() if "emulator" in name}
    assert {*MUST_BE_GIVEN, *SECRETS, *PEERS, *emulators, "CONVERGENCE_TLS_DIR"} - set(given) == set()


def test_the_chart_gives_each_service_what_must_be_given() -> None:
    """Secrets come from a Secret of the installation's, whose keys `values.yaml` names. Certificates are where the default looks."""
    templates = {name: (CHART / "templates" / name).read_text() for name in ("services.yaml", "_helpers.tpl")}
    given = set(re.findall(r"\b(?:CONVERGENCE|GOOGLE_CLOUD)_[A-Z0-9_]+\b", "".join(templates.values())))
    assert MUST_BE_GIVEN - given == set()
    assert 'include "convergence.googleEnv" $root' in templates["services.yaml"]
    assert 'printf "CONVERGENCE_%s_ADDRESS"' in templates["services.yaml"]
    assert set(NAMED.findall((CHART / "values.yaml").read_text())) >= SECRETS
    assert f"mountPath: {ServiceSettings.model_fields['tls_dir'].default}" in templates["services.yaml"]
