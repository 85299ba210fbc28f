"""Arrow values as JSON text, compared with Python's own JSON of the same values."""

import base64
import json
import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.sources.json_text import compact_text, json_text

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
    ("value", "kind", "told"),
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
def test_every_type_of_bigquery_is_told(value: object, kind: pa.DataType, told: object) -> None:
    """Without loss; beside a NULL, and within a list."""
    assert [None if text is None else json.loads(text) for text in json_text(pa.array([value, None], kind)).to_pylist()] == [told, None]
    assert json.loads(json_text(pa.array([[value, None]], pa.list_(kind)))[0].as_py()) == [told, None]
