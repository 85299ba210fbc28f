"""Gathers rows into the row groups of a Parquet file: as many as DuckDB keeps together, in little memory."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

import pyarrow as pa

GROUP_ROWS: Final = 122_880
"""The rows of a row group, if they take no more than GROUP_BYTES: what repeats is written once a group. As many DuckDB keeps together. It
writes those that come in other numbers twice, so a smaller group has as many rows as fit without a rest.
"""
GROUP_BYTES: Final = 32 * 2**20
"""In memory, of the rows of a group. With half more, a million rows of an export are in groups of GROUP_ROWS instead of half of that: a
load takes 0.7 seconds of CPU less, and the process some 90 MB more.
"""
SELDOM: Final = 4
"""How many rows have the same text, on average, where texts are kept once: an export's resources have names of their own, while its
services, places and labels repeat for thousands of rows.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Packing:
    """How the rows of a file are kept until they are written."""

    schema: pa.Schema
    """With dictionaries where texts repeat. The file has the same columns and values either way."""

    @classmethod
    def of(cls, schema: pa.Schema, first: pa.Table | None) -> Self:
        """By the first rows; None: there are none. `schema` is theirs."""
        if first is None or not first.num_rows:
            return cls(schema=schema)
        return cls(schema=pa.schema([field.with_type(_packed_type(_whole(first[field.name]))) for field in schema]))

    def pack(self, table: pa.Table) -> pa.Table:
        """The same rows; columns in which no text repeats are not copied."""
        columns = (
            pa.chunked_array([_packed(chunk, field.type) for chunk in table[field.name].chunks], field.type) for field in self.schema
        )
        return pa.Table.from_arrays(list(columns), schema=self.schema)


def row_groups(tables: Iterable[pa.Table], most: int, is_enough: Callable[[], bool] = lambda: False) -> Iterator[pa.Table]:
    """The rows of the tables, in order, as tables of GROUP_ROWS, or of a third of it, say, where that many take more than `most` bytes in
    memory. The last one has what is left. No more tables are taken once `is_enough` says so; of those that were, all rows are here.
    """
    gathered, rows, size = list[pa.Table](), 0, 0
    for table in tables:
        gathered.append(table)
        rows, size = rows + table.num_rows, size + table.nbytes
        del table  # its memory belongs to the one who asks
        while rows and (rows >= GROUP_ROWS or size >= most):
            cut = GROUP_ROWS // math.ceil(GROUP_ROWS / rows)
            whole = pa.concat_tables(gathered)
            rest = whole.slice(cut)
            gathered, rows, size = [rest], rest.num_rows, rest.nbytes
            yield whole.slice(0, cut)
            del whole, rest
        if is_enough():
            break
    if rows:
        yield pa.concat_tables(gathered)


def _packed_type(array: pa.Array) -> pa.DataType:
    if pa.types.is_struct(array.type):
        kinds = (_packed_type(array.field(place)) for place in range(array.type.num_fields))
        return pa.struct([field.with_type(kind) for field, kind in zip(array.type, kinds, strict=True)])
    if pa.types.is_string(array.type) and array.null_count < len(array):
        packed = array.dictionary_encode()
        return packed.type if len(packed.dictionary) * SELDOM <= len(array) else array.type
    return array.type


def _packed(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind:
        return array
    if pa.types.is_struct(kind):
        parts = [_packed(array.field(place), field.type) for place, field in enumerate(kind)]
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=array.is_null() if array.null_count else None)
    return array.dictionary_encode()


def _whole(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
