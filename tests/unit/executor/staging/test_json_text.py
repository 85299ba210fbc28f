"""Arrow values as JSON text, compared with Python's own JSON of the same values."""

import base64
import json
import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.executor.sources.json_text import as_json, compact_text, json_text

LEAVES = pa.struct([("s", pa.string()), ("n", pa.int64()), ("f", pa.float64()), ("b", pa.bool_())])
NESTED = pa.struct([("leaf", LEAVES), ('odd "name"\n', pa.list_(LEAVES))])
_leaves = st.fixed_dictionaries(
    {
        "s": st.none() | st.text(max_size=4),
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "f": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "b": st.none() | st.booleans(),
    }
)
_rows = st.lists(
    st.none() | st.fixed_dictionaries({"leaf": st.none() | _leaves, 'odd "name"\n': st.lists(st.none() | _leaves, max_size=3)}), max_size=6
)


@given(_rows, st.integers(0, 2))
def test_what_is_nested_reads_back_as_it_was(rows: list[Any], skipped: int) -> None:
    """NULLs at every depth, names that need escaping, slices of a batch; every float is the same float again."""
    array = pa.array(rows, NESTED).slice(skipped)
    assert [None if text is None else json.loads(text) for text in json_text(array).to_pylist()] == rows[skipped:]


def _compact(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: inner for name, one in value.items() if (inner := _compact(one)) is not None} or None
    return value if value != [] else None


@given(_rows)
def test_compact_text_leaves_out_what_is_null(rows: list[Any]) -> None:
    """Down to the lists, whose entries stay whole; a row without anything is NULL."""
    texts = compact_text(pa.array(rows, NESTED)).to_pylist()
    assert [None if text is None else json.loads(text) for text in texts] == [_compact(row) for row in rows]


@pytest.mark.parametrize(
    ("value", "kind", "written"),
    [
        (Decimal("0.031611000"), pa.decimal128(38, 9), 0.031611),
        (Decimal("12345678901234567890.123456789"), pa.decimal128(38, 9), "12345678901234567890.123456789"),
        (Decimal("1E-38"), pa.decimal256(76, 38), 1e-38),
        (Decimal(f"1.{'1' * 38}"), pa.decimal256(76, 38), f"1.{'1' * 38}"),
        (datetime(2025, 11, 17, 10, tzinfo=UTC), pa.timestamp("us", tz="UTC"), "2025-11-17T10:00:00Z"),
        (datetime(2025, 11, 17, 10, 0, 0, 5), pa.timestamp("us"), "2025-11-17T10:00:00.000005"),  # noqa: DTZ001 - a DATETIME
        (date(2025, 11, 17), pa.date32(), "2025-11-17"),
        (time(1, 2, 3), pa.time64("us"), "01:02:03"),
        (b"\x00\xff", pa.binary(), base64.b64encode(b"\x00\xff").decode()),
        (math.nan, pa.float64(), "NaN"),
        (math.inf, pa.float64(), "Infinity"),
        (-math.inf, pa.float64(), "-Infinity"),
        (2**63 - 1, pa.int64(), 2**63 - 1),
    ],
)
def test_every_type_of_bigquery_is_written_as_json(value: object, kind: pa.DataType, written: object) -> None:
    """Without loss; beside a NULL, and within a list."""
    assert [None if text is None else json.loads(text) for text in json_text(pa.array([value, None], kind)).to_pylist()] == [written, None]
    assert json.loads(json_text(pa.array([[value, None]], pa.list_(kind)))[0].as_py()) == [written, None]


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=18), min_size=1))
@example([Decimal("0E-18"), Decimal("0.1"), Decimal("123456789012345.678"), Decimal("0.000000000000000001"), Decimal("-5.00")])
@example([Decimal("0.12345678901234567"), Decimal("0.1234567890123456"), Decimal("99999999999999.99"), Decimal("1234567890.1234567")])
def test_a_decimal_is_a_number_if_a_double_holds_it_else_text(values: list[Decimal]) -> None:
    texts = json_text(pa.array([*values, None], pa.decimal128(38, 18))).to_pylist()

    assert texts.pop() is None
    for value, text in zip(values, texts, strict=True):
        found = json.loads(text)
        is_exact = Decimal(repr(float(value))) == value
        assert isinstance(found, float if is_exact else str), (value, text)
        assert Decimal(repr(found) if is_exact else found) == value


@given(st.lists(st.one_of(st.none(), st.text()), min_size=1))
@example(['"', "\\", "\n", "\x7f", "\u2028", "é", ""])
def test_any_text_is_a_json_string(values: list[str | None]) -> None:
    texts = json_text(pa.array(values, pa.string())).to_pylist()

    assert [None if text is None else json.loads(text) for text in texts] == values


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1.10}', '{"a": 1.10}'),
        ("[1, 18446744073709551615]", "[1, 18446744073709551615]"),
        ('{"a": 0.1234567890123456789}', '{"a": "0.1234567890123456789"}'),
        ('{"a": 1e400}', '{"a": "1e400"}'),
        ('{"a": 123456789012345678901}', '{"a": "123456789012345678901"}'),
        ('{"a": "\\u00e9"}', '{"a": "é"}'),
        ('{"a": "\\ud800"}', None),
        ('{"a": NaN}', None),
        ("[" * 101 + "]" * 101, None),
        ("1", None),
        ('{"a": 1', None),
        ("", None),
    ],
)
def test_json_that_bigquery_would_refuse_is_none_or_mended(text: str, found: str | None) -> None:
    assert as_json(text) == found
