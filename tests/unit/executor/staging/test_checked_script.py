"""Checks in the last statement of the script that stages what they check."""

from pathlib import Path

import pytest

from services.executor.checks.compose import MEASURED, Composed
from services.executor.steps import STEP_TYPES
from services.executor.steps.beside.checked_script import checked_script
from services.executor.steps.bigquery_sql import Sql
from services.executor.steps.dq_checks import Checks
from services.executor.templates.catalog import load_catalog
from services.executor.templates.name import PipelineName
from services.executor.templates.template import Template
from services.platform.bigquery.sql import make_block
from services.platform.settings import REPOSITORY

SCRIPT = make_block(
    "stage",
    """DECLARE rows_staged INT64;
DECLARE found STRUCT<sold INT64>;
INSERT INTO x_staging_sale SELECT s.id FROM sale AS s WHERE s.day = @day;
SET rows_staged = @@row_count;
SET found = (SELECT AS STRUCT COUNT(*) AS sold FROM sale AS s WHERE s.day = @day);
SELECT rows_staged, found.sold, CAST(NULL AS STRING) AS missing -- a; b
""",
    {"day": "DATE"},
)
COLUMNS = ("rows_staged", "missing", "sold")


def checks(sql: str, **params: str) -> Composed:
    return Composed(block=make_block("dq_checks", sql, params), values={}, columns=MEASURED)


def templates() -> list[Template]:
    return list(load_catalog(REPOSITORY / "configs", STEP_TYPES).templates.values())


def test_what_the_script_has_found_is_compared_with_in_the_script() -> None:
    sql = "SELECT 'all' AS check_name, @sold - COUNT(*) AS failing_rows, '@sold' AS observed_value FROM x_staging_sale; -- @sold"
    block = checked_script(SCRIPT, COLUMNS, checks(sql, sold="INT64", least="INT64"))
    assert block
    assert "SELECT 'all' AS check_name, found.sold - COUNT(*) AS failing_rows, '@sold' AS observed_value FROM x_staging_sale" in block.sql
    assert "SELECT answer.rows_staged, answer.missing, answer.sold, ARRAY(" in block.sql
    assert block.params == {"day": "DATE", "least": "INT64"}
    assert block.billed == (*SCRIPT.billed, "x_staging_sale")


@pytest.mark.parametrize("last", ["found.sold + 1 AS sold", "rows_staged AS sold", "x.sold", "found.sold AS other"])
def test_they_stay_a_job_of_their_own_if_they_need_what_is_not_in_the_variable(last: str) -> None:
    script = make_block("stage", SCRIPT.sql.replace("found.sold,", f"{last},"), SCRIPT.params)
    assert checked_script(script, COLUMNS, checks("SELECT @sold", sold="INT64")) is None
    assert checked_script(script, COLUMNS, checks("SELECT 1")), "which needs nothing of it"


def test_all_our_templates_that_stage_by_a_script_check_in_it() -> None:
    """Each table is charged as often as by two jobs."""
    found = dict[str, str | None]()
    for template in templates():
        staging = {step.id: step.action for step in template.steps if isinstance(step.action, Sql)}
        for step in template.steps:
            if isinstance(step.action, Checks) and (needed := staging.keys() & set(step.needs)):
                found[f"{template.name.path}: {step.id}"] = step.joins
                [first], both = needed, step.action.first
                assert both
                for alone, joint in ((staging[first].block, both.block), (staging[first].block_of_whole_days, both.block_of_whole_days)):
                    assert sorted(joint.billed) == sorted((*alone.billed, *step.action.query.block.billed))
    assert found == {
        "aws/cost/cur: checks": "stage",
        "azure/cost/actual: checks": "stage",
        "gcp/cost/billing: focus_conformance": "focus_stage",
        "gcp/cost/focus: conformance": "stage",
    }


def test_what_the_checks_wait_for_must_not_wait_for_what_they_are_done_along_with(configs: Path) -> None:
    path = configs / "gcp/cost/focus.yml"
    text = path.read_text().replace("  - id: google\n", "  - id: google\n    needs: [stage]\n")
    path.write_text(text)
    catalog = load_catalog(configs, STEP_TYPES)
    assert not catalog.broken
    focus = catalog.templates[PipelineName(provider="gcp", domain="cost", template="focus")]
    assert [step.joins for step in focus.steps if step.id == "conformance"] == [None]
