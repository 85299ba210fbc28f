"""What of an export is worked out while it is read: lists become what a column of billing_cost_daily holds.

Here, and not in SQL: a subquery a row is what BigQuery charges slots for, twice (checks and publish), and what the emulator is slow at.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_LABELS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Flattened:
    """A staging column that is made of an export's list."""

    source: str
    """The export's column."""
    type: pa.DataType
    """What is read of it."""
    made: Callable[[pa.Array], pa.Array]
    """The staging column's values, one a row."""


def credits_total(credits_: pa.Array) -> pa.Array:
    """The sum of each row's credit amounts; 0.0 for a row without any. NULL amounts count nothing."""
    amounts = pc.struct_field(pc.list_flatten(credits_), "amount").fill_null(0.0).to_pylist()
    return pa.array([math.fsum(amounts[begin:end]) for begin, end in _bounds(credits_)], pa.float64())


def labels_json(labels: pa.Array) -> pa.Array:
    """Each row's labels as the text of one JSON object, keys in order. A label without a key is left out; of a key that stands twice, the
    first one counts.
    """
    flat = pc.list_flatten(labels)
    keys, values = pc.struct_field(flat, "key").to_pylist(), pc.struct_field(flat, "value").to_pylist()
    # Rows of one resource bear the same labels: most texts are made once.
    texts = dict[tuple[Any, ...], str]()
    rows = list[str]()
    for begin, end in _bounds(labels):
        pairs = tuple(zip(keys[begin:end], values[begin:end], strict=True))
        if pairs not in texts:
            texts[pairs] = json.dumps({key: value for key, value in reversed(pairs) if key is not None}, sort_keys=True, ensure_ascii=False)
        rows.append(texts[pairs])
    return pa.array(rows, pa.string())


FLATTENED: Mapping[str, Flattened] = {
    "credits_total": Flattened(source="credits", type=pa.list_(pa.struct([("amount", pa.float64())])), made=credits_total),
    "labels_json": Flattened(source="labels", type=_LABELS, made=labels_json),
    "system_labels_json": Flattened(source="system_labels", type=_LABELS, made=labels_json),
}


def source_schema(staged: pa.Schema) -> pa.Schema:
    """What is read of an export, to stage these columns."""
    columns = [FLATTENED.get(field.name) or field for field in staged]
    return pa.schema([(one.source, one.type) if isinstance(one, Flattened) else (one.name, one.type) for one in columns])


def flatten(read: pa.Table, staged: pa.Schema) -> pa.Table:
    """Rows of `source_schema(staged)` as they are staged."""
    columns = [
        FLATTENED[name].made(_whole(read[FLATTENED[name].source])) if name in FLATTENED else read[name].cast(staged.field(name).type)
        for name in staged.names
    ]
    return pa.Table.from_arrays(columns, schema=staged)


def _bounds(lists: pa.Array) -> list[tuple[int, int]]:
    """Where each row's part begins and ends among all rows' values; a NULL is an empty list."""
    end, bounds = 0, list[tuple[int, int]]()
    for length in pc.list_value_length(lists).fill_null(0).to_pylist():
        bounds.append((end, end + length))
        end += length
    return bounds


def _whole(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
