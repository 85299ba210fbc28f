"""`scheduled_pipeline_runs` is never joined without a bound on its partitions."""

import re
from pathlib import Path

import pytest

import services.scheduler
from services.platform.bigquery.sql import Block, load_blocks

WHOLE = {"list_scheduled_runs", "get_scheduled_run", "scheduler_status"}
"""What a caller asks about all of its runs, or by an id alone; `retry_run` reads the fire time first."""
FOLDER = Path(services.scheduler.__file__).parent
BLOCKS = [block for part in ("queue", "schedules") for block in load_blocks(FOLDER / part / "queries.sql").values()]


@pytest.mark.parametrize("block", [block for block in BLOCKS if "scheduled_pipeline_runs" in block.sql], ids=lambda block: block.name)
def test_every_use_of_the_table_is_bounded(block: Block) -> None:
    aliases = re.findall(r"(?:FROM|JOIN|UPDATE) scheduled_pipeline_runs AS (\w+)", block.sql)
    uses = len(re.findall(r"(?:FROM|JOIN|UPDATE) scheduled_pipeline_runs\b", block.sql))
    bounds = len(re.findall(r"\b\w\.scheduled_time (?:BETWEEN @?first_time AND @?last_time|= fire_time)", block.sql))
    assert len(aliases) == uses
    # A claim bounds the queue's rows as well.
    expected = {"retry_run": uses - 1, "claim_runs": uses + 1}.get(block.name, uses)
    assert bounds == (0 if block.name in WHOLE else expected)
