"""Lists of an export become columns."""

import json
import math

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from services.executor.flattening import FLATTENED, credits_total, flatten, labels_json, source_schema

CREDITS, LABELS = FLATTENED["credits_total"].type, FLATTENED["labels_json"].type
AMOUNT = st.none() | st.floats(-1e6, 1e6)
LABEL = st.fixed_dictionaries({"key": st.none() | st.text(max_size=3), "value": st.none() | st.text(max_size=3)})


@given(st.lists(st.none() | st.lists(AMOUNT, max_size=4), max_size=8), st.integers(0, 3))
def test_credits_are_summed_row_by_row(rows: list[list[float | None] | None], skipped: int) -> None:
    """Also of a batch that is a slice of another one."""
    array = pa.array([None if row is None else [{"amount": amount} for amount in row] for row in rows], CREDITS).slice(skipped)
    assert credits_total(array).to_pylist() == [math.fsum(amount or 0.0 for amount in row or []) for row in rows[skipped:]]


@given(st.lists(st.none() | st.lists(LABEL, max_size=4), max_size=8), st.integers(0, 3))
def test_labels_are_one_object_a_row(rows: list[list[dict[str, str | None]] | None], skipped: int) -> None:
    texts = labels_json(pa.array(rows, LABELS).slice(skipped)).to_pylist()
    expected = []
    for row in rows[skipped:]:
        first = dict[str, str | None]()
        for label in row or []:
            if label["key"] is not None:
                first.setdefault(label["key"], label["value"])
        expected.append(first)
    assert [json.loads(text) for text in texts] == expected


def test_what_is_no_list_stays_as_it_is() -> None:
    staged = pa.schema([("cost", pa.float64()), ("labels_json", pa.string()), ("credits_total", pa.float64())])
    read = source_schema(staged)
    assert read.names == ["cost", "labels", "credits"]
    rows = [
        {"cost": 1.5, "labels": [{"key": "b", "value": "2"}, {"key": "a", "value": None}], "credits": [{"amount": -0.5}, {"amount": -0.25}]}
    ]
    assert flatten(pa.Table.from_pylist(rows, schema=read), staged).to_pylist() == [
        {"cost": 1.5, "labels_json": '{"a": null, "b": "2"}', "credits_total": -0.75}
    ]
    assert flatten(pa.Table.from_pylist([], schema=read), staged).schema == staged
