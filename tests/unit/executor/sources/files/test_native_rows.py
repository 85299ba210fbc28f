"""Exports in a cloud's own columns: by letters and digits, and nothing lost."""

import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from services.executor.errors import StepError
from services.executor.sources.files.manifest import Dataset
from services.executor.sources.files.rows.focus_rows import FileRows
from services.executor.sources.files.rows.native_rows import ESSENTIAL, letters, native_rows
from tests.support.executor.focus_export_rows import MAP, OCTOBER, found, read, request, source, staging
from tests.support.executor.local_files import LocalFiles, deliver

TEXT = pa.string()
AWS, AZURE = staging("x_staging_aws_cur"), staging("x_staging_azure_cost")
HEADS = {"dataset": "CUR", "source_id": "s", "billing_period": OCTOBER, "manifest_id": "m"}


def rows(columns: dict[str, pa.Array], schema: pa.Schema, dataset: str = "CUR") -> list[dict[str, Any]]:
    """The rows as they are staged; what a report must have and `columns` lacks is there without values."""
    origin = FileRows(provider="AWS", source_id="s", month=OCTOBER, manifest_id="m", dataset=dataset, version=None, file="part-1")
    have, count = {letters(name) for name in columns}, len(next(iter(columns.values())))
    lacking = [group[0] for group in ESSENTIAL[dataset] if not have & {letters(name) for name in group}]
    table = native_rows(pa.record_batch(columns | {name: pa.nulls(count, TEXT) for name in lacking}), schema, origin)
    table.validate(full=True)
    listed: list[dict[str, Any]] = table.to_pylist()
    return listed


def objects(row: dict[str, Any]) -> dict[str, Any]:
    """The values that the row has, its JSON objects read."""
    names = ("product", "resource_tags", "tags", "cost_category", "discount", "other_columns")
    return {name: json.loads(value) if name in names else value for name, value in row.items() if value is not None}


def test_a_legacy_report_s_columns_are_gathered_under_their_own_names() -> None:
    columns = {
        "lineItem/UsageAccountId": pa.array(["111122223333", ""]),
        "lineItem/UnblendedCost": pa.array(["0.1000000005", "-2"]),
        "lineItem/UsageAmount": pa.array(["3", ""]),
        "lineItem/UsageStartDate": pa.array(["2026-10-03T23:00:00Z", ""]),
        "reservation/ReservationARN": pa.array(["arn:aws:x", ""]),
        "product/region": pa.array(["us-east-1", ""]),
        "product/memory": pa.array(["General purpose", ""]),
        "resourceTags/user:Team": pa.array(["a", ""]),
        "resourceTags/user:team": pa.array(["b", ""]),
        "costCategory/Unit": pa.array(["shop", ""]),
        "identity/Other": pa.array(["x1", "x2"]),
    }

    first, second = (objects(row) for row in rows(columns, AWS))

    assert first == {
        **HEADS,
        "line_item_unblended_cost": Decimal("0.100000000"),
        "line_item_usage_account_id": "111122223333",
        "line_item_usage_amount": 3.0,
        "line_item_usage_start_date": datetime(2026, 10, 3, 23, tzinfo=UTC),
        "product_region": "us-east-1",
        "reservation_reservation_arn": "arn:aws:x",
        "product": {"memory": "General purpose"},
        "resource_tags": {"user:Team": "a", "user:team": "b"},
        "cost_category": {"Unit": "shop"},
        "other_columns": {"identity/Other": "x1"},
    }
    assert second == {**HEADS, "line_item_unblended_cost": Decimal(-2), "other_columns": {"identity/Other": "x2"}}


def test_a_legacy_report_in_parquet_has_other_names_for_the_same() -> None:
    columns = {
        "line_item_usage_account_id": pa.array(["1"]),
        "reservation_reservation_a_r_n": pa.array(["arn:aws:x"]),
        "product_memory": pa.array(["General purpose"]),
        "resource_tags_user_team": pa.array(["a"]),
        "cost_category_unit": pa.array(["shop"]),
    }

    (row,) = (objects(row) for row in rows(columns, AWS))

    assert row["reservation_reservation_arn"] == "arn:aws:x"
    assert (row["product"], row["resource_tags"], row["cost_category"]) == (
        {"memory": "General purpose"},
        {"user_team": "a"},
        {"unit": "shop"},
    )
    assert "other_columns" not in row


def test_cur_2_0_has_maps_and_some_columns_beside_them() -> None:
    columns = {
        "product": pa.array([[("region", "us-east-1"), ("none", "")], None, []], MAP),
        "product_comment": pa.array(["c", "d", ""]),
        "resource_tags": pa.array([[("user_team", "a")], [], None], MAP),
        "discount": pa.array([[("edp", 0.5)], None, None], pa.map_(TEXT, pa.float64())),
        "discount_total_discount": pa.array([0.5, None, None]),
        "cost_category": pa.array(['{"unit": "shop"}', "{}", ""]),
    }

    listed = [objects(row) for row in rows(columns, AWS)]

    assert [row.get("product") for row in listed] == [{"region": "us-east-1", "comment": "c"}, {"comment": "d"}, None]
    assert [row.get("resource_tags") for row in listed] == [{"user_team": "a"}, None, None]
    assert [row.get("discount") for row in listed] == [{"edp": 0.5}, None, None]
    assert [row.get("discount_total_discount") for row in listed] == [Decimal("0.5"), None, None]
    assert [row.get("cost_category") for row in listed] == [{"unit": "shop"}, None, None]


def test_azure_s_columns_are_read_in_any_case_and_its_tags_as_they_are() -> None:
    columns = {
        "costInBillingCurrency": pa.array([Decimal("1.0000000005")], pa.decimal128(38, 18)),
        "Date": pa.array(["10/31/2026"]),
        "Product": pa.array(["Virtual Machines"]),
        "Tags": pa.array(['"team": "a"']),
        "ResourceGroup": pa.array(["rg"]),
        "Whatever": pa.array(["x"]),
        "AdditionalInfo": pa.array(['{"VCPUs": 2}']),
    }

    (row,) = rows(columns, AZURE, "ACTUAL")

    assert {name: value for name, value in row.items() if value is not None} == {
        **HEADS,
        "dataset": "ACTUAL",
        "additional_info": '{"VCPUs": 2}',
        "cost_in_billing_currency": Decimal("1.000000000"),
        "date": date(2026, 10, 31),
        "product": "Virtual Machines",
        "resource_group": "rg",
        "tags": '"team": "a"',
        "other_columns": '{"Whatever":"x"}',
    }


@pytest.mark.parametrize(
    ("dataset", "missing"),
    [
        ("CUR2", "line_item_line_item_type, line_item_unblended_cost, line_item_usage_account_id, line_item_usage_start_date,"),
        ("AMORTIZED", "date or usage_date or usage_date_time, cost_in_billing_currency or cost or pre_tax_cost, billing_currency or"),
    ],
)
def test_a_file_of_something_else_is_refused_also_without_rows(dataset: str, missing: str) -> None:
    origin = FileRows(provider="AWS", source_id="s", month=OCTOBER, manifest_id="m", dataset=dataset, version=None, file="part-1")

    with pytest.raises(StepError, match=f"part-1 has no column {missing}"):
        native_rows(pa.record_batch({"name": pa.array([], TEXT)}), AWS if dataset == "CUR2" else AZURE, origin)


@pytest.mark.parametrize(
    ("days", "message"),
    [
        (["1970-01-01T00:00:00Z"], "1 rows of report.csv are dated before 2000 or after 2100, such as 1970-01-01"),
        ([f"{2000 + at // 300}-{1 + at // 25 % 12:02}-{1 + at % 25:02}" for at in range(400)], "are of 401 days, from 2000-01-01 to"),
    ],
)
def test_lines_of_days_that_no_billing_period_has_are_refused(tmp_path: Path, days: list[str], message: str) -> None:
    """Each published day is one that later runs replace: a file of many would make all of them slow."""
    files = LocalFiles(tmp_path / "bucket")
    header = "lineItem/UsageAccountId,lineItem/LineItemType,lineItem/UsageStartDate,lineItem/CurrencyCode,lineItem/UnblendedCost"
    lines = [header, "1,Usage,2026-10-05T00:00:00Z,USD,1", *(f"1,Usage,{day},USD,1" for day in days)]
    deliver(files.folder, OCTOBER, {"report.csv": "".join(f"{line}\n" for line in lines).encode()}, dataset=Dataset.CUR)
    opened = source(files, tmp_path)

    with pytest.raises(StepError, match=message):
        read(found(opened, request(month=OCTOBER)), "x_staging_aws_cur")

    opened.close()


def test_a_report_s_totals_are_by_its_own_days_and_costs(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path / "bucket")
    header = "lineItem/UsageAccountId,lineItem/LineItemType,lineItem/UsageStartDate,lineItem/CurrencyCode,lineItem/UnblendedCost"
    lines = ("2026-10-01T00:00:00Z,USD,1.5", "2026-10-02T05:00:00Z,USD,0.25", "2026-10-02T05:00:00Z,EUR,7")
    report = "".join(f"{line}\n" for line in (header, *(f"1,Usage,{one}" for one in lines)))
    deliver(files.folder, OCTOBER, {"report-1.csv.gz": gzip.compress(report.encode())}, dataset=Dataset.CUR, focus_version=None)
    opened = source(files, tmp_path)
    export = found(opened, request(month=OCTOBER))

    listed = read(export, "x_staging_aws_cur")
    outputs = export.outputs()
    opened.close()

    assert [row["dataset"] for row in listed] == ["CUR"] * 3
    assert outputs["export_days"] == [{"billing_period": OCTOBER, "day": date(2026, 10, day)} for day in (1, 2)]
    assert outputs["source_sums"] == [
        {"billing_period": OCTOBER, "currency": currency, "row_count": rows, "billed_cost": cost, "effective_cost": None}
        for currency, rows, cost in (("USD", 2, Decimal("1.75")), ("EUR", 1, Decimal(7)))
    ]
    assert outputs["exports"][0]["focus_version"] is None  # type: ignore[index]


def test_actual_and_amortized_costs_of_a_month_come_from_one_manifest(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path / "bucket", "AZURE/account/container/directory/name")
    for name, cost in (("actual.csv", 3), ("amortized.csv", 2)):
        (files.folder / "2026-10").mkdir(parents=True, exist_ok=True)
        (files.folder / "2026-10" / name).write_text(f"Date,BillingCurrency,CostInBillingCurrency\n10/05/2026,USD,{cost}\n")
    listed = [{"key": "2026-10/actual.csv", "dataset": "ACTUAL"}, {"key": "2026-10/amortized.csv", "dataset": "AMORTIZED"}]
    deliver(files.folder, OCTOBER, {}, files=listed, focus_version=None)
    opened = source(files, tmp_path, provider="AZURE")
    export = found(opened, request(month=OCTOBER))

    rows = read(export, "x_staging_azure_cost")
    outputs = export.outputs()
    opened.close()

    assert [(row["dataset"], row["date"]) for row in rows] == [("ACTUAL", date(2026, 10, 5)), ("AMORTIZED", date(2026, 10, 5))]
    sums = {"billing_period": OCTOBER, "currency": "USD", "row_count": 2, "billed_cost": Decimal(3), "effective_cost": Decimal(2)}
    assert outputs["source_sums"] == [sums]
    assert outputs["exports"][0]["dataset"] == "ACTUAL+AMORTIZED"  # type: ignore[index]
