"""gcp/cost/focus held to the facts of FOCUS 1.2, in focus_1_2.json: its table, and the lists in its SQL; and what its template may say."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from services.executor.steps import STEP_TYPES
from services.executor.templates.catalog import load_catalog
from services.platform.bigquery.ddl import Table, load_tables
from services.platform.bigquery.sql import load_blocks
from services.platform.settings import REPOSITORY

FACTS: dict[str, Any] = json.loads(Path(__file__).with_name("focus_1_2.json").read_text())
COLUMNS: dict[str, dict[str, Any]] = FACTS["columns"]
TYPES = {"String": {"STRING"}, "Date/Time": {"TIMESTAMP"}, "Decimal": {"NUMERIC", "FLOAT64"}, "JSON": {"JSON"}}
BLOCKS = {
    **load_blocks(REPOSITORY / "configs" / "gcp" / "cost" / "focus.sql"),
    **load_blocks(REPOSITORY / "configs" / "gcp" / "cost" / "focus_checks.sql"),
    **load_blocks(REPOSITORY / "configs" / "shared" / "focus_export.sql"),
    **load_blocks(REPOSITORY / "configs" / "shared" / "focus_export_checks.sql"),
}
CONFORMANCE = ("focus_conformance", "focus_export_conformance")
"""Two blocks, as each names its own staging table and a block takes nothing over from another."""
NATIVE = ("aws/cost/cur.sql", "azure/cost/actual.sql")
"""Mappings from a cloud's own columns."""
QUOTED = re.compile(r"'([^']*)'")


@pytest.fixture(scope="module")
def table() -> Table:
    return load_tables(REPOSITORY / "configs" / "bigquery" / "tenant")["focus_cost_daily"]


def test_the_table_has_every_column_and_only_x_ones_besides(table: Table) -> None:
    assert len([one for one in COLUMNS.values() if one["level"] == "Mandatory"]) == 21
    assert {name for name in table.columns if not name.startswith("x_")} == set(COLUMNS)
    for name, fact in COLUMNS.items():
        assert table.columns[name] in TYPES[fact["type"]], name
    assert {name: kind for name, kind in table.columns.items() if name in COLUMNS and name.endswith("Cost")} == dict.fromkeys(
        ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "PricingCurrencyEffectiveCost"), "NUMERIC"
    )


def test_null_is_allowed_where_the_specification_allows_it(table: Table) -> None:
    strict = {name for name, fact in COLUMNS.items() if not fact["nulls"]}
    assert set(re.findall(r"^  (\w+) \w+ NOT NULL", table.sql, re.MULTILINE)) == strict | {"x_UsageDate"}
    for block in CONFORMANCE:
        lacks, found = re.search(r"([^\0]*)\) AS lacks,", BLOCKS[block].sql), r"IF\(f\.(\w+) IS NULL, '\1', NULL\)"
        assert lacks
        assert set(re.findall(found, lacks[1])) == strict


@pytest.mark.parametrize("block", CONFORMANCE)
def test_the_conformance_step_knows_the_allowed_values(block: str) -> None:
    sql = BLOCKS[block].sql
    found = {name: QUOTED.findall(values) for name, values in re.findall(r"f\.(\w+) NOT IN \(([^)]*)\)", sql)}
    assert found == {name: values for name, values in FACTS["allowed_values"].items() if name != "ServiceCategory"}
    pairs = re.findall(r"\('([^']+)'(?: AS category)?, \[([^\]]+)\]", sql)
    assert {category: QUOTED.findall(values) for category, values in pairs} == FACTS["service_subcategories"]
    assert set(FACTS["service_subcategories"]) == set(FACTS["allowed_values"]["ServiceCategory"])


def test_exported_rows_are_published_with_every_column(table: Table) -> None:
    sql = BLOCKS["focus_export_rows"].sql
    named = re.findall(r"(?<!\()(?:\be\.|AS )(\w+)(?:,|$)", sql.partition("\nFROM ")[0], re.MULTILINE)
    assert named == list(table.columns)
    staged = load_tables(REPOSITORY / "configs" / "bigquery" / "staging")["x_staging_focus_export"].columns
    assert {name: kind for kind, name in re.findall(r"CAST\(NULL AS (\w+)\) AS (\w+)", sql)} == {
        name: kind for name, kind in table.columns.items() if name not in {*staged, "x_LoadedAt", "x_PipelineLoggingId"}
    }


def test_every_service_has_a_category_that_exists() -> None:
    services = re.search(r"DECLARE services .*?\];", BLOCKS["focus_stage"].sql, re.DOTALL)
    assert services
    known = re.findall(r"\((NULL|'[^']+')(?: AS id)?, '([^']+)'(?: AS \w+)?, '([^']+)'(?: AS \w+)?, '([^']+)'(?: AS \w+)?\)", services[0])
    assert len(known) == services[0].count("\n") - 1 > 100
    names, ids = [name for _, name, _, _ in known], [one for one, _, _, _ in known if one != "NULL"]
    for keys in (names, ids):
        assert len(set(keys)) == len(keys), "a service that stands twice would double its rows"
    assert [name for name in names if name != name.lower() or re.match("(google )?cloud |google ", name)] == []
    assert [one for one in known if one[3] not in FACTS["service_subcategories"][one[2]]] == []


@pytest.mark.parametrize("path", NATIVE)
def test_every_service_of_another_cloud_has_one_too(path: str) -> None:
    services = re.search(r"DECLARE services .*?\];", (REPOSITORY / "configs" / path).read_text(), re.DOTALL)
    assert services
    known = re.findall(r"\('([^']+)'(?: AS \w+)?, '([^']+)'(?: AS \w+)?, '([^']+)'(?: AS \w+)?\)", services[0])
    assert len(known) == services[0].count("\n") - 1 > 100
    assert len({name for name, _, _ in known}) == len(known), "a service that stands twice would double its rows"
    assert [one for one in known if one[2] not in FACTS["service_subcategories"][one[1]]] == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "reads: [billing_cost_daily, x_meta_cost_days]",
            "reads: [invoices]",
            "it reads `invoices`, which is no table of a tenant's dataset",
        ),
        ("billing_rows: INT64", "billing_rows: STRING", "declares @billing_rows INT64, which is STRING"),
        ("      billing_rows: INT64\n", "", "declares @billing_rows INT64, which is not known here"),
        (
            "staging: x_staging_focus_cost_daily\n    finds",
            "staging: focus_cost_daily\n    finds",
            "staging is `focus_cost_daily`, but must be one of",
        ),
    ],
)
def test_a_step_that_reads_or_finds_what_is_not_there_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    for folder in ("bigquery", "gcp"):
        shutil.copytree(REPOSITORY / "configs" / folder, tmp_path / folder)
    template = tmp_path / "gcp" / "cost" / "focus.yml"
    text = template.read_text()
    assert text.count(old) == 1
    template.write_text(text.replace(old, new))
    assert message in str(load_catalog(tmp_path, STEP_TYPES).broken["gcp/cost/focus.yml"])
