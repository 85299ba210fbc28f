"""Columns of any type become the staging column's, to the last decimal; what does not fit is refused by the column's name."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Context, Decimal

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.executor.sources.files.rows.values import (
    NUMERIC,
    TIMESTAMP,
    ValueMisfit,
    boolean,
    day,
    number,
    numeric,
    text,
    timestamp,
    whole,
)

EXACT = Context(prec=80)
AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, min_value=1 - 10**20, max_value=10**20 - 1, places=18)


def rounded(value: Decimal) -> Decimal:
    return value.quantize(Decimal("1e-9"), rounding=ROUND_HALF_EVEN, context=EXACT)


def column(values: list[object], kind: pa.DataType | None = None) -> list[object]:
    found = numeric(pa.array(values, kind), "BilledCost")
    assert found.type == NUMERIC
    listed: list[object] = found.to_pylist()
    return listed


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e20, max_value=1e20), min_size=1))
@example([8796.0930222085, 8796.0930222075, 1234.0000000005, 0.0000000014999999999, 0.00000000150000000001, 999.9999999995])
@example([0.0000000005, 0.0000000015, -0.0000000005, 1e-300, 5e-324, 0.1, 123456.7890123455])
def test_a_double_is_rounded_as_its_shortest_text(values: list[float]) -> None:
    assert column([*values, None]) == [*(rounded(Decimal(repr(value))) for value in values), None]


@given(st.lists(AMOUNTS, min_size=1), st.sampled_from([pa.decimal128(38, 18), pa.decimal256(60, 18), None]))
@example([Decimal("0.000000000500000000"), Decimal("99999999999999999999.999999999500000000")], pa.decimal128(38, 18))
def test_decimals_and_texts_are_rounded_alike(values: list[Decimal], kind: pa.DataType | None) -> None:
    given_as = values if kind else [f" {value:f} " for value in values]

    assert column([*given_as, None], kind or pa.string()) == [*(rounded(value) for value in values), None]


@given(st.lists(AMOUNTS.map(lambda value: round(value / 10**15, 18)), min_size=1, max_size=50))
def test_sums_are_the_same_to_the_cent_whatever_the_type(values: list[Decimal]) -> None:
    exact, doubles = sum(values, Decimal()), [float(value) for value in values]

    for sums in (column([*values], pa.decimal128(38, 18)), column([*doubles]), column([str(value) for value in values])):
        assert abs(sum((value for value in sums if isinstance(value, Decimal)), Decimal()) - exact) < Decimal("0.000001")


@pytest.mark.parametrize(
    ("given_as", "kind", "found"),
    [
        ("1E-5", None, "0.00001"),
        ("+1.5e3", None, "1500"),
        (".5", None, "0.5"),
        ("0." + "0" * 60 + "1", None, "0"),
        ("1." + "3" * 60, None, "1.333333333"),
        ("", None, None),
        ("  ", None, None),
        (7, pa.int64(), "7"),
        (2**64 - 1, pa.uint64(), "18446744073709551615"),
        (Decimal(7), pa.decimal128(38, 0), "7"),
        (0.1, pa.float32(), "0.1"),
        (None, pa.null(), None),
    ],
)
def test_numbers_come_in_many_forms(given_as: object, kind: pa.DataType | None, found: str | None) -> None:
    assert column([given_as], kind) == [None if found is None else Decimal(found)]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (math.nan, None),
        (math.inf, None),
        ("NaN", None),
        ("inf", None),
        ("1,5", None),
        ("1_000", None),
        ("12 USD", None),
        ("0x1F", None),
        ("1e400", None),
        ("1e99999999", None),
        ("٣", None),
        (1e30, None),
        (Decimal(10) ** 30, pa.decimal256(60, 0)),
        (True, None),
        (date(2026, 1, 1), None),
        ([1.0], None),
    ],
)
def test_what_is_no_amount_is_refused_by_the_column_s_name(value: object, kind: pa.DataType | None) -> None:
    with pytest.raises(ValueMisfit, match="Column BilledCost of the export has values that are no"):
        numeric(pa.array([None, value], kind), "BilledCost")


def test_quantities_are_doubles() -> None:
    for values in (["1.5", None, ""], [Decimal("1.5"), None, None], [1.5, None, None]):
        assert number(pa.array(values), "PricingQuantity").to_pylist() == [1.5, None, None]
    assert number(pa.array([2**60]), "PricingQuantity").to_pylist() == [2.0**60]
    for bad in (["nan"], ["x"], [math.inf], [True]):
        with pytest.raises(ValueMisfit, match="PricingQuantity"):
            number(pa.array(bad), "PricingQuantity")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "+02:00"])
def test_timestamps_of_any_unit_are_the_same_instant(unit: str, zone: str | None) -> None:
    values = pa.array([1_790_000_000], pa.int64()).cast(pa.timestamp("s")).cast(pa.timestamp(unit, tz=zone))

    found = timestamp(values, "ChargePeriodStart")

    assert found.type == TIMESTAMP
    assert found.to_pylist() == [datetime.fromtimestamp(1_790_000_000, UTC)]


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2199, 1, 1)), st.sampled_from(["", "Z", "+00:00", " UTC"]))  # noqa: DTZ001 - naive on purpose
def test_texts_are_iso_8601(when: datetime, zone: str) -> None:
    assert timestamp(pa.array([when.isoformat() + zone, None, ""]), "x").to_pylist() == [when.replace(tzinfo=UTC), None, None]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2026-10-01T00:00Z", datetime(2026, 10, 1, tzinfo=UTC)),
        ("2026-10-01", datetime(2026, 10, 1, tzinfo=UTC)),
        ("2026-10-01 05:00:00.0000000", datetime(2026, 10, 1, 5, tzinfo=UTC)),
        ("10/31/2026", datetime(2026, 10, 31, tzinfo=UTC)),
        ("10/31/2026 00:00:00", datetime(2026, 10, 31, tzinfo=UTC)),
        ("2026-10-01T01:00:00+02:00", datetime(2026, 9, 30, 23, tzinfo=UTC)),
        (date(2026, 10, 1), datetime(2026, 10, 1, tzinfo=UTC)),
        (datetime(2026, 10, 1, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 9, 30, 22, tzinfo=UTC)),
    ],
)
def test_times_come_in_many_forms(value: object, found: datetime) -> None:
    assert timestamp(pa.array([value]), "x").to_pylist() == [found]
    assert day(pa.array([value]), "x").to_pylist() == [found.date()]


@pytest.mark.parametrize("value", ["yesterday", "2026-13-01", "31/10/2026", 1_790_000_000, True])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ValueMisfit, match="Column ChargePeriodStart"):
        timestamp(pa.array([value]), "ChargePeriodStart")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (pa.array(["x", "", None]), ["x", None, None]),
        (pa.array([123456789012, None]), ["123456789012", None]),
        (pa.array([123456789012.0, 1.5, None]), ["123456789012", "1.5", None]),
        (pa.array([Decimal("12.0"), Decimal("12.5")], pa.decimal128(38, 9)), ["12", "12.5"]),
        (pa.array([True]), ["true"]),
        (pa.array([datetime(2026, 10, 1, 5, tzinfo=UTC)]), ["2026-10-01T05:00:00Z"]),
        (pa.array([date(2026, 10, 1)]), ["2026-10-01"]),
        (pa.array([["a", "b"], None]), ['["a","b"]', None]),
        (pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string())), ['{"a":"b"}']),
        (pa.nulls(2), [None, None]),
    ],
)
def test_any_value_has_a_text(values: pa.Array, found: list[str | None]) -> None:
    assert text(values, "BillingAccountId").to_pylist() == found


def test_whole_numbers_and_truth() -> None:
    assert whole(pa.array(["12", None]), "x").to_pylist() == [12, None]
    assert boolean(pa.array(["True", "false", ""]), "x").to_pylist() == [True, False, None]
    with pytest.raises(ValueMisfit):
        whole(pa.array(["12.5"]), "x")
    with pytest.raises(ValueMisfit):
        boolean(pa.array(["perhaps"]), "x")
