"""Which of a project's tables is read, and the errors about the others."""

import pytest
from google.api_core import exceptions as google

from services.clouds.gcp.refusals import Asked, Role, explain, no_usage_export
from services.executor.errors import StepError
from services.executor.sources.gcp.exports import (
    ExportKind,
    Listed,
    TableName,
    check_usage,
    choose_exports,
    kind_of_name,
    named_table,
    nothing_found,
)

ACCOUNT = "01AB23_CD45EF_67AB89"
STANDARD, DETAILED = f"gcp_billing_export_v1_{ACCOUNT}", f"gcp_billing_export_resource_v1_{ACCOUNT}"
FOCUS = (f"gcp_billing_export_focus_{ACCOUNT}", f"gcp_billing_immutable_{ACCOUNT}_us")
USAGE = {"usage_start_time": "TIMESTAMP", "cost": "FLOAT"}


def name(table: str, dataset: str = "d") -> TableName:
    return TableName(project="acme-prod", dataset=dataset, table=table)


def listed(table: str, dataset: str = "d", kind: str = "TABLE") -> Listed:
    return Listed(name=name(table, dataset), type=kind)


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        (name(STANDARD), ExportKind.STANDARD),
        (name("gcp_billing_export_v1_A"), ExportKind.STANDARD),
        (name(DETAILED), ExportKind.DETAILED),
        (name(*FOCUS), ExportKind.FOCUS),
        (name("anything", FOCUS[1]), ExportKind.FOCUS),
        (name("cloud_pricing_export"), ExportKind.PRICING),
        (name("cud_subscriptions_export"), ExportKind.COMMITMENTS),
        (name(f"gcp_billing_export_{ACCOUNT}"), ExportKind.OTHER),
        (name("gcp_billing_export_v2_A"), ExportKind.OTHER),
        (name("prices"), None),
        (name(f"my_{STANDARD}"), None),
    ],
)
def test_a_tables_name_says_what_it_is(table: TableName, kind: ExportKind | None) -> None:
    assert kind_of_name(table) is kind


@pytest.mark.parametrize(
    ("tables", "found", "standard"),
    [
        ([listed(STANDARD)], STANDARD, None),
        ([listed(DETAILED), listed("prices")], DETAILED, None),
        ([listed(STANDARD), listed(DETAILED, "e")], DETAILED, STANDARD),
        ([listed(STANDARD), listed(*FOCUS), listed("cloud_pricing_export")], STANDARD, None),
        ([listed(STANDARD), listed(f"{STANDARD}_backup"), listed(DETAILED, kind="VIEW")], STANDARD, None),
        ([listed("gcp_billing_export_v1_A")], "gcp_billing_export_v1_A", None),
    ],
)
def test_only_usage_exports_are_chosen(tables: list[Listed], found: str, standard: str | None) -> None:
    exports = choose_exports(tables)
    assert exports
    assert (exports.table.table, exports.standard and exports.standard.table) == (found, standard)


@pytest.mark.parametrize("tables", [[], [listed(*FOCUS)], [listed(STANDARD, kind="VIEW"), listed(DETAILED, kind="SNAPSHOT")]])
def test_nothing_else_is_taken_for_one(tables: list[Listed]) -> None:
    assert choose_exports(tables) is None


@pytest.mark.parametrize(
    "tables",
    [
        [listed("gcp_billing_export_v1_A", "e"), listed("gcp_billing_export_v1_A")],
        [listed("gcp_billing_export_v1_A"), listed("gcp_billing_export_resource_v1_B")],
        [listed(STANDARD), listed(STANDARD.replace("01AB23", "A1AB23"))],
    ],
)
def test_several_exports_are_named(tables: list[Listed]) -> None:
    with pytest.raises(StepError, match=r"Several billing exports were found: .* export_table") as failed:
        choose_exports(tables)
    assert all(str(one.name) in failed.value.message for one in tables)


def test_what_was_found_instead_is_named_and_what_to_do() -> None:
    beside = [
        listed(*FOCUS),
        listed("cloud_pricing_export"),
        listed(STANDARD, kind="MATERIALIZED_VIEW"),
        listed("costs", kind="VIEW"),
        listed(DETAILED, kind="EXTERNAL"),
    ]
    message = nothing_found("acme-prod", beside, ["acme-prod.secret"]).message
    for part in (
        "No billing export was found in project acme-prod",
        f"acme-prod.{FOCUS[1]}.{FOCUS[0]} (Google's FOCUS export)",
        "acme-prod.d.cloud_pricing_export (a pricing export)",
        f"acme-prod.d.{STANDARD} (a materialized view)",
        "acme-prod.d.costs (a view with a usage cost export's columns)",
        f"acme-prod.d.{DETAILED} (an external table)",
        "A view is read only where export_table names it",
        "may not list the tables of acme-prod.secret",
        "Turn on the Cloud Billing export of standard or detailed usage cost",
        "in another project, name it with the parameter export_table = project.dataset.table",
    ):
        assert part in message


def test_for_an_empty_project_both_causes_are_named_and_no_more() -> None:
    message = nothing_found("acme-prod", [], []).message
    assert "What was found" not in message
    assert "view" not in message
    assert "Turn on the Cloud Billing export" in message
    assert "another project" in message


def test_a_long_list_is_cut() -> None:
    message = nothing_found("acme-prod", [listed(f"cud_{number}_export") for number in range(10)], []).message
    assert message.count("cud_") == 8
    assert "and 2 more" in message


@pytest.mark.parametrize(
    ("table", "columns", "message"),
    [
        (name(*FOCUS), {"BilledCost": "NUMERIC", "ChargePeriodStart": "TIMESTAMP"}, "is Google's FOCUS export, no usage cost export"),
        (name("seen"), {"BilledCost": "NUMERIC", "ChargePeriodStart": "TIMESTAMP"}, "is Google's FOCUS export, no usage cost export"),
        (name("cloud_pricing_export"), {"pricing_as_of_time": "TIMESTAMP", "sku": "RECORD"}, "is a pricing export"),
        (name("cud_subscriptions_export"), {"term": "STRING"}, "is an export of committed use discounts"),
        (name("t"), {**USAGE, "usage_start_time": "DATE"}, "its column usage_start_time is DATE, where exports have TIMESTAMP"),
        (
            name("t"),
            {"Usage_Start_Time": "DATETIME", "COST": "FLOAT"},
            "DATETIME, where exports have TIMESTAMP. Cast it in the copy",
        ),
    ],
)
def test_a_table_of_another_kind_is_refused_for_what_it_is(table: TableName, columns: dict[str, str], message: str) -> None:
    with pytest.raises(StepError) as failed:
        check_usage(table, columns)
    assert failed.value.message.startswith(f"Table {table} is ")
    assert message in failed.value.message
    assert failed.value.is_retryable is False


@pytest.mark.parametrize("columns", [{"price": "FLOAT"}, {"cost": "FLOAT"}, {}])
def test_what_is_no_export_is_answered_as_what_is_not_there(columns: dict[str, str]) -> None:
    """So that no one learns which tables there are."""
    missing = google.NotFound("Not found: Table acme-prod:d.t")  # type: ignore[no-untyped-call]
    asked = Asked(what=f"table {name('t')}", project="acme-prod", role=Role.DATA_VIEWER)
    with pytest.raises(StepError) as failed:
        check_usage(name("t"), columns)
    assert failed.value.message == explain(missing, asked).message == no_usage_export("acme-prod.d.t")


def test_any_table_with_an_exports_columns_is_read_if_it_is_named() -> None:
    check_usage(name("my_copy"), USAGE)
    check_usage(name("my_copy"), {column.upper(): kind for column, kind in USAGE.items()})
    assert str(named_table("d.t", "acme-prod")) == "acme-prod.d.t"
    assert str(named_table("other-prod.d.t", "acme-prod")) == "other-prod.d.t"
