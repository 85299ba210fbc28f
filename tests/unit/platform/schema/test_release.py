"""What a dataset lacks of a release, and in which order it gets it."""

import pytest
from pydantic import ValidationError

from services.auth.settings import AuthSettings
from services.platform.bigquery.sql import Block
from services.platform.schema.release import DAY_MS, Found, Release, in_order
from services.platform.settings import REPOSITORY, ServiceSettings

NOW = Release.load(REPOSITORY / "configs", report_days=90)
UP_TO_DATE = {
    **{name: Found(columns=frozenset(column.lower() for column in table.columns)) for name, table in NOW.tables.items()},
    **{name: Found(text_hash=view.text_hash) for name, view in NOW.views.items()},
    **{name: Found(columns=frozenset(NOW.tables[name].columns), expiration_ms=90 * DAY_MS) for name in ("platform_events", "tenant_runs")},
}


def whats(found: dict[str, Found], version: int) -> list[str]:
    return [change.what for change in NOW.changes(found, version=version, dataset="p.tenants")]


def test_an_empty_dataset_gets_tables_then_migrations_then_views() -> None:
    changes = NOW.changes({}, version=0, dataset="p.tenants")
    names = [change.what for change in changes]
    assert names[: len(NOW.tables)] == list(NOW.tables)
    assert names[-len(NOW.views) :] == list(NOW.views)
    assert [change.version for change in changes if change.version] == list(range(1, NOW.version + 1))


def test_a_dataset_that_is_up_to_date_is_left_alone() -> None:
    assert whats(UP_TO_DATE, NOW.version) == []


def test_only_what_is_missing_is_added() -> None:
    """One statement for all columns of a table; BigQuery's names have no case."""
    columns = frozenset({"tenant_id", "company_name", "admin_email", "status", "created_at", "location", "located_at"})
    old = {**UP_TO_DATE, "tenant_profiles": Found(columns=columns), "runnable_tenants": Found()}
    changes = NOW.changes(old, version=NOW.version, dataset="p.tenants")
    assert [change.what for change in changes] == ["tenant_profiles.updated_at, tenant_profiles.resumes_as", "runnable_tenants"]
    assert changes[0].block.sql.count("ADD COLUMN IF NOT EXISTS") == 2


def test_a_changed_retention_is_applied_to_existing_tables() -> None:
    later = Release.load(REPOSITORY / "configs", report_days=60)
    changes = later.changes(UP_TO_DATE, version=NOW.version, dataset="p.tenants")
    assert [change.expires for change in changes] == [("platform_events", 60), ("tenant_runs", 60)]
    assert "SET OPTIONS (partition_expiration_days = 60)" in changes[0].block.sql


def test_an_older_release_changes_nothing_in_a_newer_dataset() -> None:
    """Else its views, without the columns of the newer release, would break the newer processes beside it."""
    assert whats({}, NOW.version + 1) == []


@pytest.mark.parametrize("names", [("v1_a", "v3_b"), ("v2_a", "v1_b"), ("first", "v2_b"), ("v1_a", "v1_b")])
def test_migrations_are_numbered_without_gaps(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="v1_"):
        in_order({name: Block(name=name, sql="SELECT 1", params={}) for name in names})


def test_a_view_says_which_text_made_it() -> None:
    view = NOW.views["runnable_tenants"]
    assert f"OPTIONS (labels = [('ddl', '{view.text_hash}')]) AS\nSELECT" in view.create("p.tenants").sql


@pytest.mark.parametrize(
    ("cls", "name", "value", "least"),
    [
        (ServiceSettings, "run_days", 34, "35 or more, or 0 to keep them for ever"),
        (ServiceSettings, "report_days", 30, "31 or more"),
        (AuthSettings, "audit_days", 6, "7 or more"),
        (AuthSettings, "quota_days", 34, "35 or more"),
    ],
)
def test_what_is_kept_too_shortly_for_the_suite_is_refused(cls: type[ServiceSettings], name: str, value: int, least: str) -> None:
    with pytest.raises(ValidationError, match=f"{value} days are too few: .*{least}"):
        cls.model_validate({name: value})
    assert getattr(cls.model_validate({name: value + 1}), name) == value + 1
