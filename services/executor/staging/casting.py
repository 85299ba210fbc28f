"""Casts an export's column to its staging column: only where the values keep their meaning; otherwise the column is refused by name.

Exports written by a cloud need few casts. Copies of exports may have changed types on the way.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from services.executor.errors import StepError


class ColumnMisfit(StepError):
    """A column's values cannot be converted to the staging column's type."""

    def __init__(self, values: pa.Array, kind: pa.DataType, column: str) -> None:
        wanted = "a STRUCT" if pa.types.is_struct(kind) else "a list of STRUCTs" if pa.types.is_list(kind) else str(kind)
        self.what = f"Column {column} of the export is {values.type}, and not all of its values can be read as {wanted}"
        """The sentence without its end, to which the source adds what to do."""
        super().__init__(f"{self.what}.")


def cast_column(values: pa.Array, kind: pa.DataType, column: str) -> pa.Array:
    """`values` as `kind`. At any depth, missing fields of a STRUCT become NULL and extra ones are dropped; names match in any case, as in
    BigQuery. An empty text is NULL: copies that went through CSV have no other NULL. Raises ColumnMisfit, naming `column` or the part of it
    that does not fit.
    """
    if not pa.types.is_struct(kind):
        try:
            found = values if values.type == kind else _cast(values, kind)
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise ColumnMisfit(values, kind, column) from error
        return _without_empty(found) if pa.types.is_string(kind) else found
    parts = []
    for field in kind:
        found = part(values, field.name, column)
        parts.append(pa.nulls(len(values), field.type) if found is None else cast_column(found, field.type, f"{column}.{field.name}"))
    return pa.StructArray.from_arrays(parts, fields=list(kind), mask=values.is_null())


def part(values: pa.Array, name: str, column: str) -> pa.Array | None:
    """A field of a STRUCT; None if it has no such field. Raises ColumnMisfit, naming `column`, if it is no STRUCT."""
    if not pa.types.is_struct(values.type):
        raise ColumnMisfit(values, pa.struct([(name, pa.null())]), column)
    for place, field in enumerate(values.type):
        if field.name.lower() == name.lower():
            return pc.struct_field(values, [place])
    return None


def _without_empty(texts: pa.Array) -> pa.Array:
    is_empty = pc.equal(texts, "")
    return pc.if_else(is_empty, None, texts) if pc.any(is_empty).as_py() else texts  # most columns have none


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    found = values.type
    if pa.types.is_timestamp(kind):
        if pa.types.is_string(found):
            return _each(values, kind, _timestamp)
        if not (pa.types.is_timestamp(found) or pa.types.is_date(found)):
            # Arrow would read a number as microseconds, which may be wrong.
            raise ValueError("no time")
    if pa.types.is_boolean(found) and not pa.types.is_boolean(kind):
        raise ValueError("true and false are no amounts")
    if pa.types.is_string(kind) and pa.types.is_floating(found):
        # A whole number as FLOAT64: project.number or invoice.month after a spreadsheet.
        return values.cast(pa.int64()).cast(kind)
    if pa.types.is_floating(kind) and pa.types.is_decimal(found):
        # Of texts: from decimals Arrow does not always take the nearest double. Prices repeat, so few texts are made.
        distinct = values.dictionary_encode()
        return distinct.dictionary.cast(pa.string()).cast(kind).take(distinct.indices)
    return values.cast(kind)


def _each(values: pa.Array, kind: pa.DataType, made: Callable[[str], object]) -> pa.Array:
    distinct = values.dictionary_encode()
    return pa.array(list(_made(distinct.dictionary.to_pylist(), made)), kind).take(distinct.indices)


def _made(texts: list[str | None], made: Callable[[str], object]) -> Iterator[object]:
    return (None if text is None else made(text) for text in texts)


def _timestamp(text: str) -> datetime:
    """ISO 8601, or as BigQuery prints it (`2025-11-17 10:00:00 UTC`); without an offset it is UTC."""
    found = datetime.fromisoformat(text.strip().removesuffix(" UTC"))
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
