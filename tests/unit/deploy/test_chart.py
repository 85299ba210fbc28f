"""The chart's values are those that the programs read. What Helm makes of them: `make check-deploy`."""

import re

import pytest

from gateway.settings import GatewaySettings
from services.auth.settings import AuthSettings
from services.executor.settings import ExecutorSettings
from tools.chart_schema import CHART, OWN, SCHEMA, SERVICES, schema, variables

TEMPLATES = {path.name: path.read_text() for path in sorted((CHART / "templates").iterdir())}
NAMED = re.compile(r"\b(?:CONVERGENCE|GATEWAY|CONSOLE|GOOGLE_CLOUD)_[A-Z0-9_]+\b")


def test_the_schema_of_its_values_is_up_to_date() -> None:
    assert SCHEMA.read_text() == schema(), "run `python -m tools.chart_schema`"


def test_a_setting_is_taken_where_it_is_read() -> None:
    assert "CONVERGENCE_SETTLE_GATHER_SECONDS" in variables(AuthSettings)
    assert "CONVERGENCE_SETTLE_GATHER_SECONDS" not in variables(ExecutorSettings)
    assert "GOOGLE_CLOUD_PROJECT" in variables(ExecutorSettings)
    assert not [name for name in variables(ExecutorSettings) if "EMULATOR" in name]


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_templates_set_only_variables_that_a_program_reads(name: str) -> None:
    read = set(variables(*SERVICES.values(), GatewaySettings)) | OWN
    named = {one for one in NAMED.findall(TEMPLATES[name]) if not one.startswith("CONSOLE_")}
    # Completed by the name of a service.
    assert {one for one in named if not one.endswith("_")} <= read


def test_ports_are_those_of_the_settings() -> None:
    ports = dict(re.findall(r'"(\w+)" "(\d+)"', TEMPLATES["_helpers.tpl"]))
    assert ports == {name: cls.model_fields[f"{name}_address"].default.rpartition(":")[2] for name, cls in SERVICES.items()}
