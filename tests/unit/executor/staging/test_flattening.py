"""Lists of an export become columns; unknown columns are kept; columns that do not fit are named."""

import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.executor.errors import StepError
from services.executor.sources.gcp.rows.flatten import credits_json, credits_total, exact_sum, flatten, labels_json
from services.executor.staging.casting import cast_column
from services.executor.staging.shape import StagingShape
from services.platform.bigquery.ddl import load_tables
from services.platform.settings import REPOSITORY
from tests.support.executor.billing_export import MODERN, PAIRS, full

CREDITS = pa.list_(pa.struct([("amount", pa.float64())]))
NUMBERS = pa.list_(pa.struct([("key", pa.int64()), ("value", pa.int64())]))
AMOUNT = st.none() | st.floats(-1e6, 1e6)
LABEL = st.fixed_dictionaries({"key": st.none() | st.text(max_size=3), "value": st.none() | st.text(max_size=3)})
STAGED = StagingShape.of(load_tables(REPOSITORY / "configs" / "bigquery" / "staging")["x_staging_gcp_billing"]).arrow
DAY = datetime(2025, 11, 17, tzinfo=UTC)


def staged(rows: list[dict[str, Any]], schema: pa.Schema = MODERN) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = flatten(pa.Table.from_pylist(rows, schema=schema), STAGED, "p.d.t").to_pylist()
    return found


def others(rows: list[dict[str, Any]], schema: pa.Schema) -> list[Any]:
    return [json.loads(row["other_columns_json"] or "null") for row in staged(rows, schema)]


@given(st.lists(st.none() | st.lists(AMOUNT, max_size=4), max_size=8), st.integers(0, 3))
def test_credits_are_summed_row_by_row(rows: list[list[float | None] | None], skipped: int) -> None:
    """Also of a batch that is a slice of another one; and each credit stands in the list as it is."""
    array = pa.array([None if row is None else [{"amount": amount} for amount in row] for row in rows], CREDITS).slice(skipped)
    assert credits_total(array).to_pylist() == [math.fsum(amount or 0.0 for amount in row or []) for row in rows[skipped:]]
    assert [[one["amount"] for one in json.loads(text)] for text in credits_json(array).to_pylist()] == [
        row or [] for row in rows[skipped:]
    ]


@given(st.lists(st.none() | st.lists(LABEL, max_size=4), max_size=8), st.integers(0, 3))
@example([[{"key": "", "value": "a"}, {"key": "b", "value": ""}, {"key": None, "value": "c"}], [{"key": "", "value": None}]], 0)
def test_labels_are_one_object_a_row(rows: list[list[dict[str, str | None]] | None], skipped: int) -> None:
    texts = labels_json(pa.array(rows, PAIRS).slice(skipped)).to_pylist()
    expected = []
    for row in rows[skipped:]:
        first = dict[str, str | None]()
        for label in row or []:
            if label["key"]:
                first.setdefault(label["key"], label["value"])
        expected.append(first)
    assert [json.loads(text) for text in texts] == expected


def test_a_sum_that_is_no_number_is_a_sum_all_the_same() -> None:
    assert exact_sum([0.1] * 10) == 1.0
    assert exact_sum([math.inf, 1.0]) == math.inf
    assert math.isnan(exact_sum([math.inf, -math.inf]))
    assert math.isnan(exact_sum([math.nan, 1.0]))
    assert exact_sum([1e308, 1e308]) == math.inf


def test_what_is_new_in_an_export_is_kept_by_its_own_names() -> None:
    """New columns, new parts of a STRUCT that we know at any place, new parts of a label; what is NULL or empty everywhere is not there."""
    price = pa.struct([*MODERN.field("price").type, ("reseller", pa.struct([("tier", pa.string()), ("margin", pa.decimal128(38, 9))]))])
    label = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string()), ("source", pa.string())]))
    new = {"Carbon": pa.float64(), "reviewers": pa.list_(pa.string()), "never": pa.string(), "region_tags": label}
    schema = pa.schema({field.name: field.type for field in MODERN} | {"price": price, "labels": label} | new)
    plain: dict[str, Any] = {"Carbon": None, "reviewers": [], "region_tags": []}
    rows = [
        full(DAY.date(), **plain),
        full(DAY.date(), Carbon=0.25, reviewers=["a", "ü"], region_tags=[{"key": "k", "value": None, "source": "s"}]),
        full(DAY.date(), **plain, price={"unit": "h", "reseller": {"tier": "gold", "margin": Decimal("0.1")}}),
        full(DAY.date(), Carbon=math.nan, price=None, labels=[]),
    ]
    assert others(rows, schema) == [
        None,
        {"Carbon": 0.25, "reviewers": ["a", "ü"], "region_tags": [{"key": "k", "value": None, "source": "s"}]},
        {"price": {"reseller": {"tier": "gold", "margin": 0.1}}},
        {"Carbon": "NaN"},
    ]
    rows[0] |= {"labels": [{"key": "team", "value": "a", "source": "user"}]}
    assert others(rows[:1], schema) == [{"labels": [{"key": "team", "value": "a", "source": "user"}]}]
    assert staged(rows[:1], schema)[0]["labels_json"] == '{"team": "a"}'


def test_all_of_the_export_that_google_writes_today_is_known() -> None:
    assert others([full(DAY.date())] * 3, MODERN) == [None] * 3
    assert staged([], MODERN) == []


@pytest.mark.parametrize(
    ("column", "kind", "value", "path", "expected"),
    [
        ("cost", pa.decimal128(38, 9), Decimal("0.1"), "cost", 0.1),
        ("cost", pa.decimal128(38, 9), Decimal("1234.567891234"), "cost", 1234.567891234),
        ("cost", pa.string(), "0.1", "cost", 0.1),
        ("COST", pa.int64(), 2, "cost", 2.0),
        ("currency_conversion_rate", pa.int64(), 1, "currency_conversion_rate", 1.0),
        ("project", pa.struct([("ID", pa.int64())]), {"ID": 42}, "project", ("42", None, None, None)),
        ("project", pa.struct([("number", pa.float64())]), {"number": 4.2e10}, "project", (None, "42000000000", None, None)),
        ("invoice", pa.struct([("month", pa.int64())]), {"month": 202511}, "invoice", ("202511", None)),
        ("export_time", pa.string(), "2025-11-17 10:00:00.5 UTC", "export_time", DAY.replace(hour=10, microsecond=500_000)),
        ("export_time", pa.string(), "2025-11-17T12:00:00+02:00", "export_time", DAY.replace(hour=10)),
        ("usage_end_time", pa.timestamp("us"), DAY.replace(hour=1, tzinfo=None), "usage_end_time", DAY.replace(hour=1)),
        ("usage_end_time", pa.date32(), DAY.date(), "usage_end_time", DAY),
        ("labels", NUMBERS, [{"key": 1, "value": 5}], "labels_json", '{"1": "5"}'),
        ("credits", pa.list_(pa.struct([("Amount", pa.string())])), [{"Amount": "-0.5"}], "credits_json", '[{"Amount":-0.5}]'),
    ],
)  # fmt: skip
def test_what_copies_make_of_the_types_is_read(column: str, kind: pa.DataType, value: object, path: str, expected: object) -> None:
    """By columns' names in any case, as BigQuery tells them apart."""
    left = [field for field in MODERN if field.name != column.lower()]
    [found] = staged([full(DAY.date()) | {column: value}], pa.schema([*left, pa.field(column, kind)]))
    assert (tuple(found[path].values()) if isinstance(found[path], dict) else found[path]) == expected


@pytest.mark.parametrize(
    ("column", "kind", "value", "named"),
    [
        ("cost", pa.string(), "1,50", "cost of the export is string"),
        ("cost", pa.date32(), DAY.date(), "cost of the export is date32"),
        ("export_time", pa.int64(), 1763373600, "export_time of the export is int64"),
        ("export_time", pa.string(), "yesterday", "export_time of the export is string"),
        ("service", pa.string(), "Compute Engine", "service of the export is string, and not all of its values can be read as a STRUCT"),
        ("project", pa.string(), "shop", "project of the export is string"),
        ("price", pa.struct([("list_price", pa.string())]), {"list_price": "free"}, "price.list_price of the export is string"),
        ("project", pa.struct([("number", pa.float64())]), {"number": 4.5}, "project.number of the export is double"),
        ("labels", pa.string(), '{"a": "b"}', "labels of the export is string, and not all of its values can be read as a list of STRUCTs"),
        ("credits", pa.list_(pa.float64()), [-0.5], "credits of the export is list<"),
        ("credits", pa.list_(pa.struct([("amount", pa.string())])), [{"amount": "x"}], "credits.amount of the export is string"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(column: str, kind: pa.DataType, value: object, named: str) -> None:
    left = [field for field in MODERN if field.name != column]
    with pytest.raises(StepError, match=f"Column {named}") as told:
        staged([full(DAY.date()) | {column: value}], pa.schema([*left, pa.field(column, kind)]))
    assert "cast the column in the copy" in str(told.value)


def test_what_an_export_lacks_is_null_and_costs_nothing_to_find() -> None:
    """The three columns that every export must have; no credits at all add nothing to the cost."""
    least = pa.schema([("usage_start_time", pa.timestamp("us", tz="UTC")), ("cost", pa.float64()), ("currency", pa.string())])
    [found] = staged([{"usage_start_time": DAY, "cost": 2.0, "currency": "USD"}], least)
    there = {name: value for name, value in found.items() if value is not None}
    assert there == {"usage_start_time": DAY, "cost": 2.0, "currency": "USD", "credits_total": 0.0, "source_table": "p.d.t"}


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pa.string(), ["", "a", None], [None, "a", None]),
        (pa.struct([("id", pa.string())]), [{"id": ""}, {"id": "x"}, None], [{"id": None}, {"id": "x"}, None]),
    ],
)
def test_an_empty_text_is_null(kind: pa.DataType, values: list[object], expected: list[object]) -> None:
    """A copy that has been CSV has no other NULL; taken for a text, it would make usage a purchase and a committed one."""
    assert cast_column(pa.array(values, kind), kind, "column").to_pylist() == expected


def test_true_is_no_amount() -> None:
    with pytest.raises(StepError, match="Column cost of the export is bool"):
        cast_column(pa.array([True]), pa.float64(), "cost")
