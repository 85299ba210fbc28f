"""The JSON Schema for editors matches what the code reads."""

import json
from pathlib import Path
from typing import Any, override

import jsonschema
import pytest
import yaml

from services.executor.checks.kinds import KINDS, Known
from services.executor.checks.verdicts import SEVERITIES
from services.executor.steps import STEP_TYPES
from services.executor.steps.dq_checks import CUSTOM
from services.executor.templates import catalog as catalogs
from services.executor.templates.graph import When
from services.executor.templates.parameters import ParameterType
from services.executor.templates.section import Section
from services.executor.templates.template import Overlap
from services.platform.bigquery.sql import make_block
from services.platform.settings import REPOSITORY
from tests.support.executor.quality import SHAPE
from tests.support.yaml_text import parsed

CONFIGS = REPOSITORY / "configs"
SCHEMA: dict[str, Any] = json.loads((CONFIGS / "template.schema.json").read_text())
DEFINED = SCHEMA["$defs"]
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
TEMPLATES = sorted(path for path in CONFIGS.glob("*/*/*.yml") if path.parts[-3] not in catalogs.NOT_TEMPLATES)

DAILY = make_block("daily", "(\n  d DATE,\n  currency STRING\n)\nPARTITION BY d", {})
KNOWN = Known(staging=SHAPE, table="daily", create=DAILY, covers_days=True, outputs={"n": "INT64", "f": "FLOAT64"})
EVERY_KIND = (
    "{name: a, kind: accepted_values, column: id, values: [x]}",
    "{name: a, kind: finite, columns: [price]}",
    "{name: a, kind: freshness, column: sold_at, within: 36h}",
    "{name: a, kind: not_null, column: id}",
    "{name: a, kind: range, column: price, min: 0}",
    "{name: a, kind: row_count, source: n}",
    "{name: a, kind: sum_agrees, column: price, source: f}",
    "{name: a, kind: unique, columns: [id, shop.id]}",
    "{name: a, kind: volume, within: 50%, only: {column: currency, value: GCP, or_null: true}}",
)


@pytest.mark.parametrize("check", EVERY_KIND)
def test_every_kind_of_check_fits_it(check: str) -> None:
    jsonschema.Draft7Validator({"$ref": "#/$defs/check", "$defs": DEFINED}).validate(parsed(check))


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_ours_fit_it(path: Path) -> None:
    VALIDATOR.validate(plain(path.read_text()))


def test_it_has_the_keys_that_the_code_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers ask for every key they know, also for those that a template leaves out."""
    asked = dict[str, set[str]]()

    class Recording(Section):
        @override
        def finish(self) -> None:
            super().finish()
            name = self._what
            if name == "a step":
                name = "include" if "include" in self.keys else str(self.scalar("type"))
            name = f"check.{self.scalar('kind', 'custom')}" if name == "a check" else name
            asked.setdefault(name, set()).update(self._asked)

    monkeypatch.setattr(catalogs, "Section", Recording)
    assert not catalogs.load_catalog(CONFIGS, STEP_TYPES).broken
    known = {"a template": SCHEMA, "a parameter": DEFINED["parameter"]}
    # Of each kind of check one, for our templates have not all of them.
    for check in EVERY_KIND:
        node = yaml.compose(check)
        assert node
        section = Recording(node, "check.yml", "a check")
        kind = section.text("kind")
        section.text("name")
        section.text("severity", "error")
        section.text("expect", "")
        KINDS[kind](section, KNOWN)
        section.finish()
    assert asked == {name: set(known.get(name, DEFINED.get(name))["properties"]) for name in asked}
    assert asked.keys() >= {*known, *(f"check.{kind}" for kind in [*KINDS, CUSTOM])}


def test_it_has_the_words_that_the_code_knows() -> None:
    assert set(DEFINED["step"]["properties"]["type"]["enum"]) == set(STEP_TYPES)
    assert [one["then"]["$ref"] for one in DEFINED["step"]["allOf"]] == [f"#/$defs/{name}" for name in STEP_TYPES]
    assert set(DEFINED["parameter"]["properties"]["type"]["enum"]) == set(ParameterType)
    assert set(DEFINED["when"]["enum"]) == set(When)
    assert set(SCHEMA["properties"]["overlap"]["enum"]) == set(Overlap)
    assert set(DEFINED["check"]["properties"]["kind"]["enum"]) == {*KINDS, CUSTOM}
    assert {f"check.{kind}" for kind in [*KINDS, CUSTOM]} == {name for name in DEFINED if name.startswith("check.")}
    for kind in [*KINDS, CUSTOM]:
        assert set(DEFINED[f"check.{kind}"]["properties"]["severity"]["enum"]) == set(SEVERITIES)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("timeout_seconds: 1800", "timeout_seconds: soon"),
        ("timeout_seconds: 1800", "timeout: 1800"),
        ("type: date", "type: day"),
        ("type: table", "type: choice"),
        ("type: gcp.bigquery_extract", "type: gcp.nothing"),
        ("staging: x_staging_gcp_billing", "table: billing_cost_daily"),
        ("severity: warn", "severity: loud"),
        ("kind: not_null", "kind: magic"),
        ("kind: row_count, min: 1", "kind: row_count"),
        ("kind: not_null, column: cost", "kind: not_null, column: cost, min: 1"),
        ("column: cost", "column: co`st"),
    ],
)
def test_what_the_code_refuses_an_editor_marks(old: str, new: str) -> None:
    text = (CONFIGS / "gcp/cost/billing.yml").read_text()
    assert old in text
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(plain(text.replace(old, new, 1)))


def plain(text: str) -> Any:
    """As editors read YAML: dates are texts."""
    return json.loads(json.dumps(parsed(text), default=str))
