"""Tables only gain nullable columns, at their end: what processes of an older release read and write stays as it is."""

from dataclasses import replace

import pytest

from services.platform.settings import REPOSITORY
from tools.table_contract import TableShape, breaks, released, shapes

NOW = shapes(REPOSITORY / "configs" / "bigquery")
LAST = max((path.name for path in (REPOSITORY / "releases").iterdir()), key=lambda name: [int(part) for part in name.split(".")])
OLD = REPOSITORY / "tests" / "support" / "upgrade" / "tables_4153373"
SHAPE = TableShape(columns={"a": "STRING", "b": "INT64"}, required=["a"], layout=["CLUSTER BY a"])


def test_the_last_release_can_work_beside_this_one() -> None:
    assert list(breaks(released(LAST), NOW)) == []


def test_tables_from_before_versions_become_those_of_now() -> None:
    """But for one: docs/google-cloud.md says how it is partitioned, or what it costs to leave it as it is."""
    problems = list(breaks(shapes(OLD), NOW))
    assert problems == ["control/scheduled_pipeline_runs: is partitioned or clustered otherwise, which a table that exists cannot become"]


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ({"t": replace(SHAPE, columns={**SHAPE.columns, "c": "DATE"})}, ""),
        ({}, "is gone"),
        ({"t": replace(SHAPE, columns={"a": "STRING"})}, "a column is gone"),
        ({"t": replace(SHAPE, columns={"a": "STRING", "b": "STRING"})}, "another type"),
        ({"t": replace(SHAPE, columns={"c": "DATE", **SHAPE.columns})}, "go to the end"),
        ({"t": replace(SHAPE, columns={**SHAPE.columns, "c": "DATE"}, required=["a", "c"])}, "must be nullable"),
        ({"t": replace(SHAPE, layout=["PARTITION BY a"])}, "partitioned or clustered otherwise"),
    ],
)
def test_what_breaks_older_processes_is_found(after: dict[str, TableShape], found: str) -> None:
    assert found in " ".join(breaks({"t": SHAPE}, after))
    assert bool(found) == bool(list(breaks({"t": SHAPE}, after)))
