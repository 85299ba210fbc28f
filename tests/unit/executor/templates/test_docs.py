"""The examples in the guides can be copied: they load unchanged and fit the schema that editors use."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from services.executor.steps import STEP_TYPES
from services.executor.templates.catalog import load_catalog
from services.platform.bigquery.ddl import load_tables
from services.platform.settings import REPOSITORY
from tests.support.yaml_text import parsed

DOCS = REPOSITORY / "docs"
OWN = """-- name: one_currency
SELECT 'one_currency' AS check_name, IF(COUNT(DISTINCT s.currency) > 1, COUNT(*), 0) AS failing_rows, 'x' AS observed_value
FROM x_staging_gcp_billing AS s
"""


def example(guide: str) -> str:
    """The guide's first YAML."""
    found = re.search(r"```yaml\n(.*?)```", (DOCS / guide).read_text(), re.DOTALL)
    assert found
    return found[1]


def check(configs: Path, text: str) -> None:
    (configs / "gcp/cost/own.sql").write_text(OWN)
    (configs / "gcp/cost/own.yml").write_text(text)
    assert load_catalog(configs, STEP_TYPES).broken == {}
    schema = json.loads((REPOSITORY / "configs/template.schema.json").read_text())
    jsonschema.validate(json.loads(json.dumps(parsed(text), default=str)), schema)


def test_the_guide_to_templates(configs: Path) -> None:
    check(configs, example("templates.md"))


def test_the_guide_to_data_quality(configs: Path) -> None:
    head, _ = example("templates.md").split("  - {id: publish")
    check(configs, head + example("data-quality.md"))


def test_the_guide_to_billing_names_every_column() -> None:
    columns = load_tables(REPOSITORY / "configs" / "bigquery" / "tenant")["billing_cost_daily"].columns
    told = re.findall(
        r"`(\w+)`",
        "".join(re.findall(r"^\| ([^|]*) \|", (DOCS / "billing.md").read_text().partition("## The columns")[2], re.MULTILINE)[1:]),
    )
    assert sorted(told) == sorted(columns)


@pytest.mark.parametrize("page", ["focus-aws-cur.md", "focus-azure-cost.md"])
def test_the_pages_about_mappings_name_every_column(page: str) -> None:
    rows = re.findall(r"^\| ([^|]+) \|", (DOCS / page).read_text().partition("## The columns")[2].partition("\n## ")[0], re.MULTILINE)
    named = [name for row in rows[1:] for name in row.split(", ") if name != "---"]
    columns = json.loads(Path(__file__).with_name("focus_1_2.json").read_text())["columns"]
    costs = ["BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "ChargeCategory", "ChargeFrequency", "ChargeClass"]
    assert {*named, *costs} == set(columns)
    assert len(named) == len(set(named))


@pytest.mark.parametrize("cloud", ["aws", "azure"])
def test_the_guides_to_clouds_name_every_check_with_its_severity(cloud: str) -> None:
    [steps] = [parsed((REPOSITORY / f"configs/{cloud}/cost/focus.yml").read_text())["steps"]]
    declared = {check["name"]: check["severity"] for step in steps for check in step.get("checks", ())}
    guide = (DOCS / f"{cloud}.md").read_text().partition("## What is checked")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \| [^|]+ \| (error|warning)[^|]* \|$", guide, re.MULTILINE)
    documented = {name: {"warning": "warn"}.get(severity, severity) for names, severity in rows for name in re.findall(r"`(\w+)`", names)}
    assert documented == declared
