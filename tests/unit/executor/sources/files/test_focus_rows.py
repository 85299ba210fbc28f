"""Rows of any version of FOCUS become those of 1.2, with nothing lost and what is empty filled."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.errors import StepError
from services.executor.sources.files.rows.focus_fills import FILLS, REQUIRED
from services.executor.sources.files.rows.focus_rows import FileRows, focus_rows
from services.executor.sources.files.rows.focus_versions import OTHER_NAMES, version_of
from services.platform.bigquery.ddl import read_table
from services.platform.settings import REPOSITORY
from tests.support.executor.focus_export_rows import MAP, OCTOBER, ROW, focus_table, staging

STAGED = staging("x_staging_focus_export")
ORIGIN = FileRows(
    provider="AWS",
    source_id="AWS/bucket/prefix/name",
    month=OCTOBER,
    manifest_id="run-1",
    dataset="FOCUS",
    version="1.2",
    file="part-1.parquet",
)


def staged(table: pa.Table, *, provider: str = "AWS", version: str | None = "1.2") -> list[dict[str, Any]]:
    origin = FileRows(**{name: getattr(ORIGIN, name) for name in FileRows.__slots__} | {"provider": provider, "version": version})
    found = focus_rows(table.combine_chunks().to_batches()[0], STAGED, origin)
    found.validate(full=True)
    assert found.schema == STAGED
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def one(table: pa.Table, **options: Any) -> dict[str, Any]:
    (row,) = staged(table, **options)
    return row


def test_a_whole_row_is_as_exported() -> None:
    row = one(focus_table())

    assert {name: row[name] for name in ROW} == {
        **ROW,
        "BilledCost": Decimal("1.25"),
        "EffectiveCost": Decimal(1),
        "ListCost": Decimal("1.5"),
        "ContractedCost": Decimal("1.25"),
        "PricingCurrencyEffectiveCost": Decimal(1),
    }
    assert {name: value for name, value in row.items() if name.startswith("x_")} == {
        "x_UsageDate": date(2026, 10, 3),
        "x_Provider": "AWS",
        "x_SourceId": "AWS/bucket/prefix/name",
        "x_FocusVersion": "1.2",
        "x_ProviderColumns": None,
        "x_BillingPeriod": OCTOBER,
        "x_ManifestId": "run-1",
        "x_SourceChanges": None,
    }


def test_names_match_in_any_case() -> None:
    table = focus_table()

    assert staged(table.rename_columns([name.upper() for name in table.column_names])) == staged(table)


def test_all_columns_may_be_texts() -> None:
    table = focus_table(types={"BilledCost": pa.float64()})
    texts = pa.table(
        {
            name: [value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)]
            for name, value in zip(table.column_names, table.to_pylist()[0].values(), strict=True)
        }
    )

    assert staged(texts) == staged(table)


FILLED: Mapping[str, Any] = {
    "ProviderName": "AWS",
    "PublisherName": "AWS",
    "InvoiceIssuerName": "AWS",
    "BillingAccountType": "Payer Account",
    "SubAccountType": "Linked Account",
    "BillingPeriodStart": datetime(2026, 10, 1, tzinfo=UTC),
    "BillingPeriodEnd": datetime(2026, 11, 1, tzinfo=UTC),
    "ChargeFrequency": "Usage-Based",
    "ServiceName": "Unspecified",
    "ServiceCategory": "Other",
    "ServiceSubcategory": "Other (Compute)",
    "ListCost": Decimal("1.25"),
    "ContractedCost": Decimal("1.25"),
    "PricingCurrency": "USD",
    "PricingCurrencyEffectiveCost": Decimal(1),
}


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("is_there", [True, False], ids=["empty", "absent"])
def test_what_is_empty_is_filled_and_named(name: str, is_there: bool) -> None:
    row = one(focus_table({name: None}, types={name: pa.null()}) if is_there else focus_table(without=(name,)))

    assert row[name] == FILLED[name]
    assert row["x_SourceChanges"] == name


def test_an_empty_text_is_filled_too_and_rows_say_each_for_itself() -> None:
    rows = staged(focus_table({"ServiceName": ""}, {}, {"PublisherName": "", "ListCost": None}), provider="AZURE")

    assert [row["x_SourceChanges"] for row in rows] == ["ServiceName", None, "ListCost,PublisherName"]


def test_an_export_with_only_what_it_must_have_gets_everything_else() -> None:
    row = one(focus_table(without=tuple(name for name in ROW if name not in REQUIRED)), provider="AZURE")

    # There is no account below the one that is billed.
    assert row["x_SourceChanges"] == ",".join(sorted(set(FILLS) - {"SubAccountType"}))
    assert (row["ProviderName"], row["PublisherName"], row["InvoiceIssuerName"]) == ("Microsoft",) * 3
    assert (row["ServiceCategory"], row["ServiceSubcategory"]) == ("Other", "Other (Other)")


def test_every_column_that_must_not_be_null_is_required_or_filled() -> None:
    ddl = (REPOSITORY / "configs/bigquery/tenant/focus_cost_daily.sql").read_text()
    table = read_table(ddl, "focus_cost_daily")
    not_null = {line.split()[0] for line in ddl.splitlines() if "NOT NULL" in line and not line.startswith("--")} & set(table.columns)

    assert not_null - {"x_UsageDate"} - set(REQUIRED) - set(FILLS) == set()
    assert not_null


def test_a_charge_that_does_not_recur_is_one_time() -> None:
    assert one(focus_table({"ChargeCategory": "Tax", "ChargeFrequency": None}, types={"ChargeFrequency": pa.null()}))[
        "ChargeFrequency"
    ] == ("One-Time")


def test_prices_in_another_currency_are_not_made_up() -> None:
    row = one(focus_table({"PricingCurrency": "EUR"}, without=("PricingCurrencyEffectiveCost",)))

    assert row["PricingCurrencyEffectiveCost"] is None
    assert row["x_SourceChanges"] is None


def test_azure_s_zero_for_an_unknown_price_stays() -> None:
    row = one(focus_table({"ListCost": Decimal(0), "ContractedCost": Decimal(0)}, types={"ListCost": pa.decimal128(38, 18)}))

    assert (row["ListCost"], row["ContractedCost"], row["x_SourceChanges"]) == (0, 0, None)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_charge_without_its_cost_time_or_account_is_refused(name: str) -> None:
    with pytest.raises(StepError, match=f"part-1.parquet has no column {name}"):
        staged(focus_table(without=(name,)))
    with pytest.raises(StepError, match=f"1 rows of part-1.parquet have no {name}"):
        staged(focus_table({}, {name: None}))


def test_rows_of_another_month_are_refused_and_counted() -> None:
    with pytest.raises(StepError, match=r"2 rows of part-1\.parquet are of another billing period than October 2026"):
        staged(focus_table({}, *[{"BillingPeriodStart": datetime(year, month, 1, tzinfo=UTC)} for year, month in ((2025, 10), (2026, 9))]))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_cost_that_is_no_number_is_refused_by_its_column(value: float) -> None:
    with pytest.raises(StepError, match="Column EffectiveCost of the export has values that are no finite numbers"):
        staged(focus_table({"EffectiveCost": value}))


def test_columns_that_focus_does_not_have_are_kept_as_json() -> None:
    table = focus_table(
        {
            "x_Discounts": [("edp", "0.1")],
            "x_Details": '{"VMName": "vm-1", "VCPUs": 2}',
            "x_List": [1, 2],
            "x_Text": 'a "b"',
            "x_Cost": Decimal("1.50"),
            "x_When": datetime(2026, 10, 1, tzinfo=UTC),
            "x_Empty": "",
            "x_Null": None,
            "x_NoMap": [],
            "x_IsIt": True,
        },
        types={"x_Discounts": MAP, "x_NoMap": MAP},
    )

    assert json.loads(one(table)["x_ProviderColumns"]) == {
        "x_Discounts": {"edp": "0.1"},
        "x_Details": {"VMName": "vm-1", "VCPUs": 2},
        "x_List": [1, 2],
        "x_Text": 'a "b"',
        "x_Cost": 1.5,
        "x_When": "2026-10-01T00:00:00Z",
        "x_IsIt": True,
    }


@pytest.mark.parametrize(
    ("tags", "kind", "found"),
    [
        ([("team", "a"), ("env", 'p"rod')], MAP, {"team": "a", "env": 'p"rod'}),
        ([("team", "a"), ("empty", "")], MAP, {"team": "a"}),
        ([], MAP, None),
        ('{"team": "a", "n": 1}', None, {"team": "a", "n": 1}),
        ('"team": "a","env": "prod"', None, {"team": "a", "env": "prod"}),
        (' "team": "a", ', None, {"team": "a"}),
        ("{}", None, None),
        ("", None, None),
        (None, pa.string(), None),
        ("team=a", None, "team=a"),
        ('{"team": "a"', None, '{"team": "a"'),
        ({"team": "a"}, pa.struct([("team", pa.string()), ("env", pa.string())]), {"team": "a"}),
        ('{"n": 0.12345678901234567890}', None, {"n": "0.12345678901234567890"}),
    ],
)
def test_tags_of_any_shape_are_a_json_object(tags: object, kind: pa.DataType | None, found: object) -> None:
    row = one(focus_table({"Tags": tags}, types={"Tags": kind} if kind else {}))

    assert (None if row["Tags"] is None else json.loads(row["Tags"])) == found


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1), max_size=5))
def test_a_map_and_its_json_are_the_same_tags(tags: dict[str, str]) -> None:
    texts = [json.dumps(tags), json.dumps(tags, ensure_ascii=False)]
    found = [one(focus_table({"Tags": list(tags.items())}, types={"Tags": MAP})), *(one(focus_table({"Tags": text})) for text in texts)]

    assert [None if row["Tags"] is None else json.loads(row["Tags"]) for row in found] == [tags or None] * 3


PREVIEW: Mapping[str, Any] = {
    "Region": "us-east-1",
    "UsageQuantity": 2.0,
    "UsageUnit": "Hours",
    "ChargeSubcategory": "Used Commitment",
    "PricingCategory": "Commitment-Based",
}


def test_a_1_0_preview_is_read_by_its_own_names() -> None:
    row = one(focus_table(PREVIEW, without=("ServiceSubcategory", "PricingCurrency")), version=None)

    names = ("RegionId", "ConsumedQuantity", "ConsumedUnit", "CommitmentDiscountStatus", "ChargeClass", "PricingCategory")
    assert [row[name] for name in names] == ["us-east-1", 2.0, "Hours", "Used", None, "Committed"]
    assert json.loads(row["x_ProviderColumns"]) == {"ChargeSubcategory": "Used Commitment"}
    assert row["x_FocusVersion"] == "1.0-preview"
    refund = one(focus_table({**PREVIEW, "ChargeSubcategory": "Refund", "PricingCategory": "Dynamic"}))
    assert (refund["ChargeClass"], refund["CommitmentDiscountStatus"], refund["PricingCategory"]) == ("Correction", None, "Dynamic")


def test_a_1_4_has_providers_by_other_names() -> None:
    renamed = {"ServiceProviderName": "AWS", "HostProviderName": "Amazon"}
    row = one(focus_table(renamed, without=("ProviderName", "PublisherName")), version=None)

    assert (row["ProviderName"], row["PublisherName"]) == ("AWS", "Amazon")
    assert (row["x_ProviderColumns"], row["x_FocusVersion"]) == (None, "1.4")


def test_our_name_counts_where_both_are_there() -> None:
    row = one(focus_table({"ServiceProviderName": "Other"}))

    assert row["ProviderName"] == "AWS"
    assert json.loads(row["x_ProviderColumns"]) == {"ServiceProviderName": "Other"}


@pytest.mark.parametrize(
    ("names", "version"),
    [
        (["ChargeCategory"], "1.0-preview"),
        (["ChargeCategory", "RegionId"], "1.0"),
        (["RegionId", "ServiceSubcategory"], "1.1"),
        (["RegionId", "servicesubcategory", "PRICINGCURRENCY"], "1.2"),
        (["ProviderName", "ServiceProviderName", "InvoiceId"], "1.3"),
        (["ServiceProviderName"], "1.4"),
    ],
)
def test_the_version_is_known_by_the_columns(names: list[str], version: str) -> None:
    assert version_of(names) == version


def test_other_names_are_of_columns_that_there_are() -> None:
    assert set(OTHER_NAMES) <= set(STAGED.names)


def test_a_column_that_is_there_twice_is_refused() -> None:
    table = focus_table()
    double = table.append_column("BilledCost", table["BilledCost"])

    with pytest.raises(StepError, match=r"part-1\.parquet has column BilledCost twice"):
        staged(double)


def test_columns_of_different_case_are_both_kept() -> None:
    table = focus_table()
    both = table.append_column("billedcost", pa.array([7.0]))

    row = one(both)
    assert row["BilledCost"] == Decimal("1.25")
    assert json.loads(row["x_ProviderColumns"]) == {"billedcost": 7.0}


def test_no_rows_are_no_rows() -> None:
    batch = focus_table().to_batches()[0].slice(0, 0)

    assert focus_rows(batch, STAGED, ORIGIN).num_rows == 0


def test_a_slice_of_a_batch_is_read_as_the_slice() -> None:
    table = focus_table(
        *({"Tags": [("n", str(number))], "x_D": [("n", str(number))]} for number in range(10)), types={"Tags": MAP, "x_D": MAP}
    )

    found = focus_rows(table.to_batches()[0].slice(4, 2), STAGED, ORIGIN)

    assert found["Tags"].to_pylist() == ['{"n":"4"}', '{"n":"5"}']
    assert found["x_ProviderColumns"].to_pylist() == ['{"x_D":{"n":"4"}}', '{"x_D":{"n":"5"}}']
