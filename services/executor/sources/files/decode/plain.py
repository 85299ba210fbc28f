"""Rows with the types that cost reports have, and no others: no dictionaries, views or extension types, no metadata."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from services.executor.errors import StepError
from services.executor.sources.files.decode.bounds import MAX_DEPTH, MAX_FRAME, MAX_NAME, MAX_NAMES, Bounds

LEAST_BYTES = 8
"""What a value counts at least: as JSON, a bit becomes `false`, and a NULL that takes no memory `null`."""


def plain_schema(schema: pa.Schema, file: str, bounds: Bounds) -> pa.Schema:
    """The schema that `plain` gives rows. Raises StepError for a type that no cost report has, and for too many columns."""
    if any(_depth(field.type) > MAX_DEPTH for field in schema):
        raise StepError(f"{file} has columns of more than {MAX_DEPTH} levels; cost exports have two.")
    if sum(_leaves(field.type) for field in schema) > bounds.columns:
        raise StepError(f"{file} has more than {bounds.columns:,} columns.")
    if any(len(name) > MAX_NAME for name in _names(schema)):
        raise StepError(f"{file} has a column whose name has more than {MAX_NAME} characters.")
    return pa.schema([(field.name, _plain(field.type, f"Column {field.name[:100]} of {file}")) for field in schema])


def plain(batch: pa.RecordBatch, schema: pa.Schema, file: str, bounds: Bounds) -> pa.RecordBatch:
    """The rows with the types of `schema`. Raises StepError for a value that is too long, and for a text that is no UTF-8, which Arrow does
    not look at when it reads Parquet; ArrowInvalid for rows that are damaged.
    """
    columns = [_plain_column(values, field, file, bounds) for field, values in zip(schema, batch.columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _plain_column(values: pa.Array, field: pa.Field, file: str, bounds: Bounds) -> pa.Array:
    column = f"column {field.name[:100]} of {file}"
    try:
        values.validate(full=True)
        if (longest := _longest(values)) > bounds.cell_bytes:
            raise StepError(f"A value of {column} has {longest:,} bytes; at most {bounds.cell_bytes:,} are read.")
        return values if values.type == field.type else values.cast(field.type)
    except pa.ArrowInvalid as error:
        if "UTF8" not in str(error):
            raise
        raise StepError(f"A value of {column} is not UTF-8, as texts of cost exports are. Export the month anew.") from error


def no_rows(schema: pa.Schema) -> pa.RecordBatch:
    """An empty batch: it tells which columns a file without rows has."""
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def fits(batch: pa.RecordBatch) -> bool:
    """True if the executor can take these rows at once: so little that it stays little as JSON."""
    return weight(batch) <= MAX_FRAME and batch.num_rows * sum(len(name) for name in _names(batch.schema)) <= MAX_NAMES


def weight(batch: pa.RecordBatch) -> int:
    """Bytes of the rows, each value counted with LEAST_BYTES at least."""
    return sum(_weight(values) for values in batch.columns)


def is_plain(kind: pa.DataType) -> bool:
    """True for a type that `plain` may give."""
    if pa.types.is_map(kind):
        return is_plain(kind.key_type) and is_plain(kind.item_type)
    if pa.types.is_list(kind):
        return is_plain(kind.value_type)
    if pa.types.is_struct(kind):
        return all(is_plain(field.type) for field in kind)
    return any(test(kind) for test in _SCALARS)


_SCALARS: tuple[Any, ...] = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal128,
    pa.types.is_decimal256,
    pa.types.is_string,
    pa.types.is_timestamp,
    pa.types.is_date32,
    pa.types.is_time,
)
_TEXTS: tuple[Any, ...] = (
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)


def _plain(kind: pa.DataType, what: str) -> pa.DataType:
    if pa.types.is_nested(kind):
        return _plain_nested(kind, what)
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type, what)
    if is_plain(kind):
        return kind
    if any(test(kind) for test in _TEXTS):
        return pa.string()  # the cast checks that it is UTF-8
    if pa.types.is_date64(kind):
        return pa.date32()
    raise _odd(what)


def _plain_nested(kind: pa.DataType, what: str) -> pa.DataType:
    if pa.types.is_map(kind):
        return pa.map_(_plain(kind.key_type, what), _plain(kind.item_type, what))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _plain(field.type, what)) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain(kind.value_type, what))
    raise _odd(what)


def _odd(what: str) -> StepError:
    return StepError(f"{what} has a type that cost exports do not have. Export it as the cloud writes it.")


def _inner(kind: pa.DataType) -> list[pa.Field]:
    return [kind.field(place) for place in range(kind.num_fields)]


def _depth(kind: pa.DataType) -> int:
    """Levels, counted down to one too many."""
    inner, depth = [kind], 0
    while inner and depth <= MAX_DEPTH:
        inner, depth = [field.type for one in inner for field in _inner(one)], depth + 1
    return depth


def _names(schema: pa.Schema) -> Iterator[str]:
    fields = list(schema)
    while fields:
        yield from (field.name for field in fields)
        fields = [inner for field in fields for inner in _inner(field.type)]


def _weight(values: pa.Array) -> int:
    kind = values.type
    if pa.types.is_struct(kind):
        return sum(_weight(values.field(place)) for place in range(kind.num_fields))
    if pa.types.is_map(kind) or pa.types.is_list(kind):
        inner = values.cast(pa.list_(pa.struct([kind.key_field, kind.item_field]))) if pa.types.is_map(kind) else values
        return LEAST_BYTES * len(values) + _weight(pc.list_flatten(inner))
    return max(int(values.nbytes), LEAST_BYTES * len(values))


def _leaves(kind: pa.DataType) -> int:
    if pa.types.is_map(kind):
        return _leaves(kind.key_type) + _leaves(kind.item_type)
    if pa.types.is_struct(kind):
        return sum(_leaves(field.type) for field in kind)
    return _leaves(kind.value_type) if pa.types.is_list(kind) or pa.types.is_large_list(kind) else 1


def _longest(values: pa.Array) -> int:
    """The most bytes of a value; of a list, a map or a STRUCT all that it contains."""
    if pa.types.is_dictionary(values.type):
        return _longest(values.dictionary)
    is_short = not (pa.types.is_nested(values.type) or _is_text(values.type))
    return 0 if is_short else int(pc.max(_sizes(values)).as_py() or 0)


def _sizes(values: pa.Array) -> pa.Array:
    """The bytes of each value."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _sizes(values.dictionary).take(values.indices).fill_null(0)
    if pa.types.is_map(kind):
        return _sums(values, pc.add(_sizes(values.keys), _sizes(values.items)))
    if pa.types.is_struct(kind):
        total = pa.repeat(pa.scalar(0, pa.int64()), len(values))
        for place in range(kind.num_fields):
            total = pc.add(total, _sizes(values.field(place)))
        return total
    if pa.types.is_fixed_size_list(kind):
        values = values.cast(pa.large_list(kind.value_type))
    if pa.types.is_nested(kind):
        return _sums(values, _sizes(values.values))
    if _is_text(kind):
        texts = values.cast(pa.large_binary()) if _is_view(kind) else values
        return pc.binary_length(texts).cast(pa.int64()).fill_null(0)
    return pa.repeat(pa.scalar(LEAST_BYTES, pa.int64()), len(values))


def _sums(lists: pa.Array, sizes: pa.Array) -> pa.Array:
    """The sum of each list's entries, whose sizes these are."""
    so_far = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(sizes)])
    return pc.subtract(so_far.take(lists.offsets[1:]), so_far.take(lists.offsets[:-1]))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or any(test(kind) for test in _TEXTS))


def _is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(kind) or pa.types.is_binary_view(kind))
