"""The flattening of `rows.flatten` in GoogleSQL, for exports as Google writes them: the same rows, with JSON of the same values.

If an export has anything else, e.g. a column that no staging column takes, there is no such SQL: the export is read, and flattened by
`rows.flatten`. Tests check that both give the same rows, with ZetaSQL's own implementation of GoogleSQL.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
from google.cloud.bigquery import SchemaField

from services.executor.errors import StepError
from services.executor.sources.gcp.export_rows import restriction
from services.executor.sources.gcp.export_source import ExportPart
from services.executor.sources.gcp.exports import COST, EXPORTED, TIME, TableName
from services.executor.sources.gcp.handover.exact_sum import exact_credits
from services.executor.sources.gcp.rows.flatten import FLATTENED, OTHER, SOURCE
from services.executor.sources.gcp.rows.other_columns import Known, known_columns

_TEXT, _FLOAT = frozenset({"STRING"}), frozenset({"FLOAT", "FLOAT64"})
_IN_JSON: Final = _TEXT | _FLOAT | {"BOOLEAN", "BOOL"}
"""Types of which TO_JSON_STRING and `sources.json_text` write the same values."""
_GOOGLE_SQL: Final = {pa.string(): "STRING", pa.float64(): "FLOAT64", pa.timestamp("us", tz="UTC"): "TIMESTAMP"}

NOW: Final = "CURRENT_TIMESTAMP()"
"""The same wherever it stands in a query."""

type Columns = Mapping[str, SchemaField]
"""By lower-case names."""


class OwnColumns(StepError):
    """The export has columns that Google's exports do not have, or of other types."""

    def __init__(self, column: str) -> None:
        super().__init__(f"Column {column} of the export is not as Google writes it.")


def columns_of(fields: Iterable[SchemaField]) -> Columns:
    """Columns, or the fields of one."""
    return {field.name.lower(): field for field in fields}


def flattened(export: Sequence[SchemaField], staged: pa.Schema, source: TableName) -> str:
    """The staging columns, in order, as the list of a SELECT from the export AS r. Raises OwnColumns."""
    taken = {one.source: one.keeps for name, one in FLATTENED.items() if name in staged.names}
    known = known_columns([field for field in staged if field.name not in {*FLATTENED, OTHER, SOURCE}], taken)
    _check_known(columns_of(export), known, "")
    return ", ".join(f"{_column(columns_of(export), field, source)} AS {field.name}" for field in staged)


def rows_of(part: ExportPart, *, by_ingestion: bool, as_of: str) -> str:
    """The rest of a SELECT: the rows AS r of the part that its table had at the time `as_of`, a constant expression."""
    # Only names that were checked, dates and times.
    where = restriction(part.rows, by_ingestion=by_ingestion)
    if part.since:  # for each day only newer rows, as `export_rows.newer_rows` does it
        newer = (f"(DATE({TIME}) = '{day}' AND {EXPORTED} > TIMESTAMP '{_utc(since)}')" for day, since in part.since.items())
        where = f"{where} AND ({' OR '.join(newer)})"
    return f"FROM `{part.table}` AS r FOR SYSTEM_TIME AS OF {as_of} WHERE {where}"


def day_totals(export: Sequence[SchemaField]) -> str:
    """What a run adds up of each UTC day, as the list of a SELECT: `day`, `row_count`, `cost`, `credits`, `exported_to`."""
    columns = columns_of(export)
    credits_ = "SUM((SELECT SUM(one.amount) FROM UNNEST(r.credits) AS one))" if "credits" in columns else "CAST(NULL AS FLOAT64)"
    exported = f"MAX(r.{EXPORTED})" if EXPORTED in columns else "CAST(NULL AS TIMESTAMP)"
    sums = {"day": f"DATE(r.{TIME})", "row_count": "COUNT(*)", "cost": f"SUM(r.{COST})", "credits": credits_, "exported_to": exported}
    return ", ".join(f"{made} AS {name}" for name, made in sums.items())


def and_its_moment(totals: str) -> str:
    """A query of `day_totals` as of NOW, with one more row that has no day: the `exported_to` of this row is the time of the reading, by
    BigQuery's clock.
    """
    return f"{totals} UNION ALL SELECT NULL AS day, 0 AS row_count, 0.0 AS cost, 0.0 AS credits, {NOW} AS exported_to"


def _column(export: Columns, field: pa.Field, source: TableName) -> str:
    if field.name == SOURCE:
        return f"'{source}'"
    if field.name == OTHER:
        return "CAST(NULL AS STRING)"
    made = FLATTENED.get(field.name)
    if made is None:
        return _value(export.get(field.name.lower()), field, "r")
    if not _has(export, made.source):
        return "CAST(NULL AS STRING)" if made.absent is None else repr(made.absent)
    path = f"r.{made.source}"
    if made.keeps:
        return _labels(path)
    return exact_credits(path) if field.name == "credits_total" else f"TO_JSON_STRING(IFNULL({path}, []))"


def _value(found: SchemaField | None, field: pa.Field, above: str) -> str:
    """A column or a field as `staging.casting` casts it: an empty text is NULL."""
    if found is None:
        return f"CAST(NULL AS {_type(field.type)})"
    path = f"{above}.{field.name}"
    if pa.types.is_struct(field.type):
        fields = columns_of(found.fields)
        parts = ", ".join(f"{_value(fields.get(part.name.lower()), part, path)} AS {part.name}" for part in field.type)
        return f"IF({path} IS NULL, NULL, STRUCT({parts}))"
    kind = found.field_type.upper()
    if pa.types.is_string(field.type) and kind in _TEXT:
        return f"NULLIF({path}, '')"
    if pa.types.is_floating(field.type) and kind == "NUMERIC":
        return f"CAST({path} AS FLOAT64)"
    if (pa.types.is_floating(field.type) and kind in _FLOAT) or (pa.types.is_timestamp(field.type) and kind == "TIMESTAMP"):
        return path
    raise OwnColumns(path.removeprefix("r."))


def _labels(path: str) -> str:
    """A JSON object of labels: sorted by key, of a repeated key its first value; labels without a key are left out."""
    firsts = (
        "SELECT one.key AS key, ARRAY_AGG(one.value ORDER BY place LIMIT 1)[OFFSET(0)] AS value "  # noqa: S608 - names that were checked
        f"FROM UNNEST({path}) AS one WITH OFFSET AS place WHERE one.key != '' GROUP BY one.key"
    )
    entry = "CONCAT(TO_JSON_STRING(first.key), ': ', TO_JSON_STRING(first.value))"
    entries = f"SELECT STRING_AGG({entry}, ', ' ORDER BY first.key) FROM ({firsts}) AS first"  # noqa: S608 - made of the above
    return f"CONCAT('{{', IFNULL(({entries}), ''), '}}')"


def _check_known(export: Columns, known: Mapping[str, Known], above: str) -> None:
    """Raises OwnColumns for a column that is not taken whole, or is not nested as Google nests it."""
    for name, field in export.items():
        path, taken = f"{above}{name}", known.get(name, frozenset())
        is_fine = field.mode != "REPEATED"
        if isinstance(taken, Mapping):
            is_fine = is_fine and field.field_type.upper() in {"RECORD", "STRUCT"}
            _check_known(columns_of(field.fields), taken, f"{path}.")
        elif name not in known:
            is_fine = False
        elif taken is not None or path in {one.source for one in FLATTENED.values()}:
            is_fine = field.mode == "REPEATED" and _is_plain(path, field, taken)
        if not is_fine:
            raise OwnColumns(path)


def _is_plain(path: str, field: SchemaField, keeps: frozenset[str] | None) -> bool:
    """True for a list of STRUCTs of plain values."""
    fields = columns_of(field.fields)
    if any(one.mode == "REPEATED" or one.field_type.upper() not in _IN_JSON for one in field.fields):
        return False
    if keeps:
        return fields.keys() == keeps and all(one.field_type.upper() in _TEXT for one in field.fields)
    return path != "credits" or ("amount" in fields and fields["amount"].field_type.upper() in _FLOAT)


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(" ")


def _has(export: Columns, path: str) -> bool:
    first, _, rest = path.partition(".")
    return first in export and (not rest or _has(columns_of(export[first].fields), rest))


def _type(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return f"STRUCT<{', '.join(f'{field.name} {_type(field.type)}' for field in kind)}>"
    return _GOOGLE_SQL[kind]
