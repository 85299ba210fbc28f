"""What the statements of a run of gcp/cost/billing are charged for: BigQuery's minimum, by table and statement."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from services.executor.staging.table_after import reads_whole_days
from services.executor.steps import STEP_TYPES
from services.executor.steps.bigquery_publish import Publish
from services.executor.steps.bigquery_sql import Sql
from services.executor.steps.dq_checks import Checks
from services.executor.steps.run_end_script import EndOfRun
from services.executor.templates.catalog import load_catalog
from services.executor.templates.name import PipelineName
from services.platform.settings import REPOSITORY

BILLING = PipelineName(provider="gcp", domain="cost", template="billing")
WHOLE: Mapping[str, object] = {"day_reads": [{"since": None}], "watermarks": []}
PARTS: Mapping[str, object] = {"day_reads": [{"since": datetime(2026, 11, 26, tzinfo=UTC)}], "watermarks": ["one"]}


@pytest.mark.parametrize(("outputs", "budget"), [(WHOLE, 17), (PARTS, 20)])
def test_a_run_stays_within_its_budget(outputs: Mapping[str, object], budget: int) -> None:
    """Of a run for a day, and of one that adds to days and moves a watermark. The run's own rows and its quota come on top."""
    charged = dict[str, list[str]]()
    for step in load_catalog(REPOSITORY / "configs", STEP_TYPES).templates[BILLING].steps:
        match step.action:
            case Checks(first=Sql(block=parts, block_of_whole_days=whole)):
                assert step.joins == "focus_stage"
                charged[step.id] = list((whole if reads_whole_days(outputs) else parts).charged(outputs))
            case Checks(query=query):
                charged[step.id] = list(query.block.charged(outputs))
            case Publish(joint=joint) if joint:
                assert step.joins == "publish"
                charged[step.id] = list(joint[EndOfRun.WITHIN].charged(outputs))
            case _:
                pass
    assert set(charged) == {"checks", "focus_conformance", "focus_publish"}
    assert sum(map(len, charged.values())) <= budget, str(charged)
