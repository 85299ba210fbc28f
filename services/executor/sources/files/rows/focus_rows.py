"""Rows of a FOCUS export, of any version, become rows of x_staging_focus_export."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from services.executor.errors import StepError
from services.executor.sources.files.rows.focus_fills import REQUIRED, Filled, fill_all
from services.executor.sources.files.rows.focus_versions import OTHER_NAMES, OTHER_VALUES, version_of
from services.executor.sources.files.rows.named_columns import NamedColumns, dense, value_json
from services.executor.sources.files.rows.values import CONVERTED
from services.executor.sources.json_text import as_json, per_value

JSON: frozenset[str] = frozenset({"Tags", "SkuPriceDetails"})
"""Columns of JSON objects, staged as text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRows:
    """Where rows come from."""

    provider: str
    """AWS or AZURE."""
    source_id: str
    month: date
    manifest_id: str
    dataset: str
    version: str | None
    """Of FOCUS, as the manifest says."""
    file: str
    """For messages."""


def focus_rows(batch: pa.RecordBatch, staged: pa.Schema, origin: FileRows) -> pa.Table:
    """The rows with the columns `staged`, empty columns filled. Raises StepError, naming the file or the column, for rows that are no
    charges of the billing period.
    """
    found = NamedColumns(batch, origin.file, str.lower)
    missing = [name for name in REQUIRED if not _has(found, name)]
    if missing:
        raise StepError(f"{origin.file} has no column {', '.join(missing)}: it is no FOCUS export, or was made without these columns.")
    own = {field.name: field for field in staged if not field.name.startswith("x_")}
    columns = {name: _column(found, field) for name, field in own.items()}
    rows = Filled(columns, origin.provider, origin.month)
    changes = fill_all(rows)
    _check(rows.columns, origin)
    version = origin.version or version_of(batch.schema.names)
    ours: Mapping[str, pa.Array | object] = {
        "x_UsageDate": rows.columns["ChargePeriodStart"].cast(pa.timestamp("us")).cast(pa.date32(), safe=False),
        "x_Provider": origin.provider,
        "x_SourceId": origin.source_id,
        "x_FocusVersion": version,
        "x_BillingPeriod": origin.month,
        "x_ManifestId": origin.manifest_id,
        "x_SourceChanges": changes,
        "x_ProviderColumns": found.others(),
    }
    return pa.Table.from_arrays(
        [rows.columns[field.name] if field.name in own else made(ours[field.name], field, batch.num_rows) for field in staged],
        schema=staged,
    )


def made(value: pa.Array | object, field: pa.Field, rows: int) -> pa.Array:
    """A column that is computed, or the same value in each row."""
    return value if isinstance(value, pa.Array) else pa.repeat(pa.scalar(value, field.type), rows)


def tags_json(values: pa.Array) -> pa.Array:
    """Tags as the text of a JSON object: a map, JSON text, or Azure's text of an object without its braces. Another text is kept as a JSON
    string. NULL for none.
    """
    if not pa.types.is_string(values.type):
        return dense(value_json(values))
    texts = per_value(values, _object)
    return pc.if_else(pc.is_in(texts, value_set=pa.array(['""', "{}", "[]"])), None, texts)


def _object(text: str) -> str:
    stripped = text.strip()
    if not stripped:
        return "{}"
    return as_json(stripped) or as_json(f"{{{stripped.rstrip(',')}}}") or _quoted(text)


def _quoted(text: str) -> str:
    quoted: str = dense(value_json(pa.array([text])))[0].as_py()
    return quoted


def _has(found: NamedColumns, name: str) -> bool:
    return found.has(name) or any(found.has(other.name) for other in OTHER_NAMES.get(name, ()))


def _column(found: NamedColumns, field: pa.Field) -> pa.Array:
    values, renamed = found.take(field.name), OTHER_VALUES.get(field.name)
    if values is None:
        for other in OTHER_NAMES.get(field.name, ()):
            if (values := found.take(other.name, is_kept=other.is_kept)) is not None:
                return _convert(values, field) if other.values is None else _replaced(_convert(values, field), other.values, keep=False)
        return pa.nulls(found.rows, field.type)
    converted = _convert(values, field)
    return _replaced(converted, renamed, keep=True) if renamed else converted


def _convert(values: pa.Array, field: pa.Field) -> pa.Array:
    if field.name in JSON:
        return tags_json(values)
    return CONVERTED[field.type](values, field.name)


def _replaced(texts: pa.Array, values: Mapping[str, str], *, keep: bool) -> pa.Array:
    """Each text's new value; of one that has none the text itself, or NULL."""
    places = pc.index_in(texts, value_set=pa.array(list(values)))
    if keep and places.null_count == len(places):
        return texts
    replaced = pa.array(list(values.values())).take(places)
    return pc.coalesce(replaced, texts) if keep else replaced


def _check(columns: Mapping[str, pa.Array], origin: FileRows) -> None:
    for name in REQUIRED:
        if nulls := columns[name].null_count:
            raise StepError(f"{nulls:,} rows of {origin.file} have no {name}, without which a charge cannot be published.")
    begin = columns["BillingPeriodStart"]
    is_other = pc.or_(pc.not_equal(pc.year(begin), origin.month.year), pc.not_equal(pc.month(begin), origin.month.month))
    if others := pc.sum(is_other).as_py():
        raise StepError(
            f"{others:,} rows of {origin.file} are of another billing period than {origin.month:%B %Y}, whose manifest lists the file."
            " Nothing is published of it."
        )
