"""Turns rows of an export into rows of its staging table: one column each, lists as JSON, unknown columns kept aside.

Done here and not in SQL: for each row BigQuery would charge slots for a subquery, twice (checks and publish), and the emulator is slow at
it.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from services.executor.sources.gcp.misfits import misfits_explained
from services.executor.sources.gcp.rows.other_columns import known_columns, other_columns
from services.executor.sources.json_text import is_list, json_text, list_text, object_text, per_value
from services.executor.staging.casting import ColumnMisfit, cast_column, part

OTHER = "other_columns_json"
"""The staging column for everything in the export that has no staging column of its own, under the export's names."""
SOURCE = "source_table"
"""The staging column with the name of the table that was read."""
_ENTRIES = pa.list_(pa.struct([]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Flattened:
    """A staging column that is computed from one of the export's lists."""

    source: str
    """The export's column, with dots into a STRUCT."""
    made: Callable[[pa.Array], pa.Array]
    """Computes the staging column's values, one a row."""
    absent: float | None = None
    """The value of every row if the export has no such column."""
    keeps: frozenset[str] | None = None
    """The fields of a list's entry that it keeps; None: all."""


def exact_sum(amounts: Iterable[float]) -> float:
    """The sum, rounded once; NaN or infinite if an amount is."""
    values = list(amounts)
    try:
        return math.fsum(values)
    except ValueError:  # infinities of both signs
        return math.nan
    except OverflowError:  # exceeds a double
        return sum(values)


def credit_amounts(credits_: pa.Array) -> pa.Array:
    """The amounts of all rows' credits, row after row. Raises ColumnMisfit."""
    entries = pc.list_flatten(credits_)
    amounts = part(entries, "amount", "credits")
    return pa.nulls(len(entries), pa.float64()) if amounts is None else cast_column(amounts, pa.float64(), "credits.amount")


def source_credits(read: pa.Table) -> float:
    """The sum of all credits of an export's rows, taken before they are flattened. Values that `flatten` refuses are not checked again."""
    found = find({name.lower(): _whole(read[name]) for name in read.column_names if name.lower() == "credits"}, "credits")
    return 0.0 if found is None else float(pc.sum(credit_amounts(found)).as_py() or 0.0)


def credits_total(credits_: pa.Array) -> pa.Array:
    """The sum of each row's credit amounts, rounded once; 0.0 for a row without credits. NULL amounts add nothing."""
    amounts = credit_amounts(credits_).fill_null(0.0)
    lengths = pc.list_value_length(credits_).fill_null(0)
    begins = pc.subtract(pc.cumulative_sum(lengths), lengths)
    # Adding two numbers rounds once: few rows have more credits.
    sums = pa.repeat(pa.scalar(0.0), len(credits_))
    for place in range(2):
        nth = pc.if_else(pc.greater(lengths, place), pc.add(begins, place), None)
        sums = pc.add(sums, amounts.take(nth).fill_null(0.0))
    # Processors may give the NaN of opposed infinities a sign, which is shown.
    sums = pc.if_else(pc.is_nan(sums), math.nan, sums)
    has_more = pc.greater(lengths, 2)
    spans = zip(begins.filter(has_more).to_pylist(), lengths.filter(has_more).to_pylist(), strict=True)
    more = [exact_sum(amounts.slice(begin, length).to_pylist()) for begin, length in spans]
    return pc.replace_with_mask(sums, has_more, pa.array(more, pa.float64())) if more else sums


def credits_json(credits_: pa.Array) -> pa.Array:
    """Each row's credits as a JSON list with all their fields; amounts as numbers, whatever their type in the export."""
    entries = pc.list_flatten(credits_)
    texts = {field.name: json_text(pc.struct_field(entries, [place])) for place, field in enumerate(entries.type)}
    texts |= {name: json_text(credit_amounts(credits_)) for name in texts if name.lower() == "amount"}
    return list_text(credits_, object_text(texts, len(entries)))


def list_json(lists: pa.Array) -> pa.Array:
    """Each row's list as JSON, entry by entry."""
    return list_text(lists, json_text(pc.list_flatten(lists)))


def labels_json(labels: pa.Array) -> pa.Array:
    """Each row's labels as a JSON object, with sorted keys. Labels without a key (NULL or empty) are left out; of a repeated key the first
    value is kept.
    """
    # Rows of one resource have the same labels: most texts are made once.
    return per_value(list_json(labels), _as_object)


FLATTENED: Mapping[str, Flattened] = {
    "credits_total": Flattened(source="credits", made=credits_total, absent=0.0),
    "credits_json": Flattened(source="credits", made=credits_json),
    "tags_json": Flattened(source="tags", made=list_json),
    "project_ancestors_json": Flattened(source="project.ancestors", made=list_json),
    **{
        f"{source.replace('.', '_')}_json": Flattened(source=source, made=labels_json, keeps=frozenset({"key", "value"}))
        for source in ("labels", "system_labels", "project.labels")
    },
}


def flatten(read: pa.Table, staged: pa.Schema, source: str) -> pa.Table:
    """Rows as read from the table `source`, as rows of the staging table. Raises StepError, naming a column whose values do not fit."""
    columns = {name.lower(): _whole(read[name]) for name in read.column_names}
    taken = {one.source: one.keeps for name, one in FLATTENED.items() if name in staged.names}
    known = known_columns([field for field in staged if field.name not in {*FLATTENED, OTHER, SOURCE}], taken)

    def made(field: pa.Field) -> pa.Array:
        if field.name == SOURCE:
            return pa.repeat(pa.scalar(source), read.num_rows)
        if field.name == OTHER:
            return other_columns(dict(zip(read.column_names, columns.values(), strict=True)), known, read.num_rows)
        flattened = FLATTENED.get(field.name)
        found = find(columns, flattened.source if flattened else field.name)
        if found is None:
            absent = flattened.absent if flattened else None
            return pa.nulls(read.num_rows, field.type) if absent is None else pa.repeat(pa.scalar(absent), read.num_rows)
        if not flattened:
            return cast_column(found, field.type, field.name)
        if not (is_list(found.type) and pa.types.is_struct(found.type.value_type)):
            raise ColumnMisfit(found, _ENTRIES, flattened.source)
        return flattened.made(found)

    with misfits_explained():
        return pa.Table.from_arrays([made(field) for field in staged], schema=staged)


def find(columns: Mapping[str, pa.Array], path: str) -> pa.Array | None:
    """The column at that path, with dots into a STRUCT, among columns by lower-case names; None if there is none. Raises ColumnMisfit if
    the path leads into a column that is no STRUCT.
    """
    name, *parts = path.split(".")
    found = columns.get(name.lower())
    for place, inner in enumerate(parts, 1):
        found = found if found is None else part(found, inner, ".".join([name, *parts[: place - 1]]))
    return found


def _as_object(text: str) -> str:
    # Backwards, so that the first value of a key is kept.
    labels = {label.get("key"): label.get("value") for label in reversed(json.loads(text))}
    idempotent_starts = {str(key): value for key, value in labels.items() if key not in {None, ""}}
    texts = {key: value if isinstance(value, str | None) else json.dumps(value) for key, value in idempotent_starts.items()}
    return json.dumps(texts, sort_keys=True, ensure_ascii=False)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
