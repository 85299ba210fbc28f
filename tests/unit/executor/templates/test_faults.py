"""All faults of a template are found in one reading, and none that only follows from another; a call of a broken one names them."""

import re
from pathlib import Path

import pytest

from services.executor.runs.prepared import RunPreparer, RunRequest
from services.executor.steps import STEP_TYPES
from services.executor.templates.catalog import carried_over, load_catalog
from services.executor.templates.name import PipelineName
from services.platform.clock import SystemClock
from services.platform.errors import FailedPrecondition, NotFound
from tests.support.executor.tenant import BILLING

BROKEN = PipelineName(provider="gcp", domain="cost", template="broken")
MANY = """\
description: Many faults, none of which follows from another.
timeout_seconds: soon
colour: red
parameters:
  date: {type: date, default: yesterday, colour: red}
  team: {type: text}
  accept_less: {type: boolean, default: perhaps}
steps:
  - {id: extract, type: gcp.bigquery_extract, staging: x_staging_none, attempts: 0}
  - id: checks
    type: dq.checks
    needs: [extract]
    staging: x_staging_gcp_billing
    table: billing_cost_daily
    checks:
      - {name: a, kind: not_null, column: colour}
      - {name: b, kind: row_count, source: source_rows}
      - {name: c, kind: nothing}
      - {name: d, kind: not_null, column: cost, severity: loud}
  - id: publish
    type: bigquery.publish
    needs: [checks, nowhere]
    sql: billing.sql#nothing
    table: billing_cost_daily
    day: colour
    currency: cost
  - {id: stage, type: bigquery.sql, needs: [publish], sql: billing.sql#nothing, staging: x_staging_focus_cost_daily, reads: [invoices]}
  - {id: Tell, type: notify.slack, when: always}
"""
FOUND = [
    "2:18: timeout_seconds must be a whole number from 1 to 86400",
    "3:1: a template has no `colour`",
    "5:42: a parameter has no `colour`",
    "6:16: type is `text`, but must be one of boolean, choice, date, email, export, integer, month, string, table",
    "7:41: the default of accept_less does not fit: use true or false.",
    "9:82: attempts must be a whole number from 1 to 10",
    "16:43: x_staging_gcp_billing has no column `colour`",
    "18:25: kind is `nothing`, but must be one of",
    "19:59: severity is `loud`, but must be one of error, warn",
    "23:10: billing.sql has no block `nothing`",
    "25:10: `colour` is no column of type DATE of billing_cost_daily",
    "26:15: `cost` is no column of type STRING of billing_cost_daily",
    "27:5: bigquery.sql needs `finds`",
    "27:60: billing.sql has no block `nothing`",
    "27:125: it reads `invoices`, which is no table of a tenant's dataset",
    "28:10: the id `Tell` must be lower-case",
]


def preparer(configs: Path) -> RunPreparer:
    return RunPreparer(load_catalog(configs, STEP_TYPES), SystemClock())


def request(name: PipelineName | None) -> RunRequest:
    return RunRequest(pipeline_logging_id="x", tenant_id="acme_corp", name=name, given={"date": "2025-11-17"})


def test_all_faults_are_found_at_once(configs: Path) -> None:
    """The check of source_rows needs what the extract step finds out, `needs: nowhere` a step whose id is wrong: neither is a fault yet."""
    (configs / "gcp/cost/broken.yml").write_text(MANY)
    faults = load_catalog(configs, STEP_TYPES).broken["gcp/cost/broken.yml"].faults
    told = [str(fault).removeprefix("gcp/cost/broken.yml:") for fault in sorted(faults)]
    assert len(told) == len(FOUND), told
    assert [one for one, begins in zip(told, FOUND, strict=True) if not one.startswith(begins)] == []


@pytest.mark.parametrize(
    ("old", "new", "left"),
    [
        ("type: gcp.bigquery_extract", "type: gcp.nothing", ["type is `gcp.nothing`"]),
        ("  accept_less:\n    type: boolean", "  accept_less:\n    type: flag", ["type is `flag`"]),
        ("  date:\n    type: date", "  date:\n    type: day", ["type is `day`"]),
        ("- id: extract\n", "- id: Extract\n", ["the id `Extract`"]),
        ("include: focus", "include: nothing", ["there is no template nothing.yml"]),
    ],
)
def test_what_only_follows_from_another_fault_is_none(configs: Path, old: str, new: str, left: list[str]) -> None:
    text = (configs / "gcp/cost/billing.yml").read_text()
    assert old in text
    (configs / "gcp/cost/broken.yml").write_text(text.replace(old, new, 1))
    faults = load_catalog(configs, STEP_TYPES).broken["gcp/cost/broken.yml"].faults
    assert [fault.message[: len(begins)] for fault, begins in zip(faults, left, strict=True)] == left


def test_a_call_of_a_broken_template_names_its_faults(configs: Path) -> None:
    (configs / "gcp/cost/broken.yml").write_text(MANY)
    runs = preparer(configs)
    with pytest.raises(FailedPrecondition) as refused:
        runs.prepare(request(BROKEN))
    assert refused.value.reason == "TEMPLATE_BROKEN"
    assert refused.value.metadata == {"faults": str(len(FOUND))}
    assert len(re.findall(r"gcp/cost/broken\.yml:\d+:\d+: ", refused.value.message)) == 5
    assert "; and 11 more. `make check-template` names all faults." in refused.value.message
    assert BROKEN not in runs.templates
    assert runs.prepare(request(BILLING)).template.name == BILLING


@pytest.mark.parametrize("name", [None, PipelineName(provider="gcp", domain="cost", template="nothing")])
def test_one_that_does_not_exist_is_not_found(configs: Path, name: PipelineName | None) -> None:
    with pytest.raises(NotFound, match="There is no such pipeline"):
        preparer(configs).prepare(request(name))


def test_one_whose_last_good_version_is_in_use_can_be_run(configs: Path) -> None:
    before, path = load_catalog(configs, STEP_TYPES), configs / "gcp/cost/billing.yml"
    path.write_text(path.read_text().replace("timeout_seconds: 1800", "timeout_seconds: soon"))
    now = load_catalog(configs, STEP_TYPES)
    assert now.faults_of(BILLING)
    assert carried_over(before, now).faults_of(BILLING) == ()
    assert RunPreparer(carried_over(before, now), SystemClock()).prepare(request(BILLING)).template.timeout_seconds == 1800
