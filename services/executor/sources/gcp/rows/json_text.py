"""Arrow values as JSON text, a column at a time, for columns of an export that have no column of their own, whatever their type.

The format is that of BigQuery's TO_JSON_STRING: numbers are JSON numbers if no digit is lost, else text; NaN and the infinities are the
texts "NaN", "Infinity" and "-Infinity"; times are ISO 8601, bytes base64. Python handles each distinct value once, not each row.
"""

import base64
import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def json_text(values: pa.Array) -> pa.Array:
    """Each value as JSON; NULL for NULL, `null` for a NULL within a STRUCT or a list."""
    kind = values.type
    if pa.types.is_struct(kind):
        texts = object_text({field.name: json_text(pc.struct_field(values, [place])) for place, field in enumerate(kind)}, len(values))
    elif is_list(kind):
        texts = list_text(values, json_text(pc.list_flatten(values)))
    else:
        return _scalar_text(values)
    return pc.if_else(values.is_null(), None, texts) if values.null_count else texts


def compact_text(values: pa.Array) -> pa.Array:
    """As `json_text`, but empty lists are NULL, and STRUCTs omit NULL fields; a STRUCT without any value is NULL."""
    kind = values.type
    if values.null_count == len(values):
        return pa.nulls(len(values), pa.string())
    if pa.types.is_struct(kind):
        return compact_object({field.name: compact_text(pc.struct_field(values, [place])) for place, field in enumerate(kind)}, len(values))
    texts = json_text(values)
    return pc.if_else(pc.equal(texts, "[]"), None, texts) if is_list(kind) else texts


def object_text(fields: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """One object a row of these texts; `null` for NULL."""
    if not fields:
        return pa.repeat(pa.scalar("{}"), rows)
    parts: list[Any] = []
    for name, text in fields.items():
        parts += [f"{',' if parts else '{'}{json.dumps(name)}:", text.fill_null("null")]
    return pc.binary_join_element_wise(*parts, "}", "")


def compact_object(fields: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """One object a row of these texts, without NULLs; NULL for a row that has none."""
    # Each with a comma in front: Arrow's own option to skip NULLs loses the rows that have only NULLs.
    pairs = [pc.binary_join_element_wise(f",{json.dumps(name)}:", text, "") for name, text in fields.items() if text.null_count < rows]
    if not pairs:
        return pa.nulls(rows, pa.string())
    joined = pc.binary_join_element_wise(*(pair.fill_null("") for pair in pairs), "")
    return pc.if_else(pc.equal(joined, ""), None, pc.binary_join_element_wise("{", pc.utf8_slice_codeunits(joined, 1), "}", ""))


def list_text(lists: pa.Array, entries: pa.Array) -> pa.Array:
    """One list a row of the texts of all rows' entries, in order; `[]` for NULL."""
    ends = pc.cumulative_sum(pc.list_value_length(lists).fill_null(0)).cast(pa.int32())
    texts = pa.ListArray.from_arrays(pa.concat_arrays([pa.array([0], pa.int32()), ends]), entries.fill_null("null"))
    return pc.binary_join_element_wise("[", pc.binary_join(texts, ","), "]", "")


def per_value(values: pa.Array, made: Callable[[Any], str]) -> pa.Array:
    """The result of `made` for each value; NULL for NULL. Most columns have few distinct values, and each is computed once."""
    distinct = values.dictionary_encode()
    texts = pa.array([None if value is None else made(value) for value in distinct.dictionary.to_pylist()], pa.string())
    return texts.take(distinct.indices)


def is_list(kind: pa.DataType) -> bool:
    """True for the type of a REPEATED column."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _scalar_text(values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_null(kind):
        return pa.nulls(len(values), pa.string())
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return values.cast(pa.string())
    if pa.types.is_floating(kind):
        texts = values.cast(pa.string())
        finite = pc.is_finite(values).fill_null(True)  # noqa: FBT003 - the value for NULL
        return texts if pc.all(finite).as_py() else pc.if_else(finite, texts, per_value(values, _not_finite))
    return per_value(values, _scalar)


def _not_finite(value: float) -> str:
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


def _scalar(value: object) -> str:
    match value:
        case Decimal():
            number = repr(float(value))
            return number if Decimal(number) == value else json.dumps(f"{value:f}")
        case datetime() | date() | time():
            return json.dumps(value.isoformat().replace("+00:00", "Z"))
        case bytes():
            return json.dumps(base64.b64encode(value).decode("ascii"))
        case _:
            return json.dumps(str(value), ensure_ascii=False)
