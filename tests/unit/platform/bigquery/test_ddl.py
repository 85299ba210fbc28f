"""Our DDL files: tables and views side by side."""

from pathlib import Path

import pytest

from services.platform.bigquery.ddl import load_tables, load_views
from services.platform.settings import REPOSITORY

CONTROL = REPOSITORY / "configs" / "bigquery" / "control"


def test_a_view_names_its_tables_with_their_dataset() -> None:
    view = load_views(CONTROL)["runnable_tenants"]
    sql = view.create("my-project.tenants").sql
    assert "`my-project.tenants.tenant_profiles`" in sql
    assert "$" not in sql
    assert view.columns == {
        "tenant_id": "STRING",
        "units_left": "INT64",
        "slots_left": "INT64",
        "max_priority": "INT64",
        "max_queued_runs": "INT64",
    }
    assert "runnable_tenants" not in load_tables(CONTROL)


@pytest.mark.parametrize("dataset", ["tenants", "p.tenants`; DROP TABLE x; --", "p.ten ants", ""])
def test_what_is_no_dataset_never_becomes_sql(dataset: str) -> None:
    with pytest.raises(ValueError, match=r"no `project\.dataset`"):
        load_views(CONTROL)["runnable_tenants"].create(dataset)


def test_a_file_that_makes_neither_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.sql").write_text("SELECT 1")
    with pytest.raises(ValueError, match=r"odd\.sql"):
        load_tables(tmp_path)
