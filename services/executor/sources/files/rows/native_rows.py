"""Rows of exports in a cloud's own columns (AWS Cost and Usage Reports, Azure actual and amortized cost) become rows of their staging
table.

A staging column takes the file's column of the same letters and digits, in any case: lineItem/UsageAccountId and line_item_usage_account_id
are one. What has no column is gathered as JSON.
"""

import re
from collections.abc import Mapping
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from services.executor.errors import StepError
from services.executor.sources.files.rows.focus_rows import FileRows, made
from services.executor.sources.files.rows.named_columns import NamedColumns, dense, value_json
from services.executor.sources.files.rows.values import CONVERTED, NUMERIC
from services.executor.sources.json_text import compact_object

GATHERED: Final[Mapping[str, re.Pattern[str]]] = {
    # resourceTags/user:team is "user:team"; in Parquet files resource_tags_user_team, which is "user_team"
    "resource_tags": re.compile(r"resource_?tags[/_](.+)", re.IGNORECASE),
    "cost_category": re.compile(r"cost_?category[/_](.+)", re.IGNORECASE),
    "discount": re.compile(r"discount[/_](.+)", re.IGNORECASE),
    "product": re.compile(r"product[/_](.+)", re.IGNORECASE),
    "tags": re.compile(r"tags/(.+)", re.IGNORECASE),
}
"""Staging columns of JSON objects: a map of that name (CUR 2.0), or what legacy reports have a column each for."""
OTHERS: Final = "other_columns"
_SIGNS: Final = re.compile(r"[^a-z0-9]")


_REPORT: Final = (
    ("line_item_line_item_type",),
    ("line_item_unblended_cost",),
    ("line_item_usage_account_id",),
    ("line_item_usage_start_date",),
    ("line_item_currency_code", "pricing_currency"),
)
_AZURE: Final = (
    ("date", "usage_date", "usage_date_time"),
    ("cost_in_billing_currency", "cost", "pre_tax_cost"),
    ("billing_currency", "billing_currency_code", "currency", "currency_code"),
)
ESSENTIAL: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "CUR": _REPORT,
    "CUR2": _REPORT,
    "ACTUAL": _AZURE,
    "AMORTIZED": _AZURE,
}
"""By dataset: a file has a column of each of these groups, else it is none of that dataset."""


KINDS: Final[Mapping[str, str]] = {
    "CUR": "Cost and Usage Report",
    "CUR2": "Cost and Usage Report",
    "ACTUAL": "export of actual cost",
    "AMORTIZED": "export of amortized cost",
}


def letters(name: str) -> str:
    """A column's name as it is compared."""
    return _SIGNS.sub("", name.lower())


def native_rows(batch: pa.RecordBatch, staged: pa.Schema, origin: FileRows) -> pa.Table:
    """The rows with the columns `staged`. Raises StepError, naming a column that is missing, or whose values do not fit."""
    found = NamedColumns(batch, origin.file, letters)
    missing = [" or ".join(group) for group in ESSENTIAL[origin.dataset] if not any(found.has(name) for name in group)]
    if missing:
        raise StepError(f"{origin.file} has no column {', '.join(missing)}: it is no {KINDS[origin.dataset]}, or was made without it.")
    ours: dict[str, pa.Array | object] = {
        "dataset": origin.dataset,
        "source_id": origin.source_id,
        "billing_period": origin.month,
        "manifest_id": origin.manifest_id,
    }
    # Azure's tags are a text as any other; a report of AWS has maps.
    gathered = [name for name in GATHERED if name in staged.names and GATHERERS in staged.names]
    for field in staged:
        if field.name not in {*ours, *gathered, OTHERS}:
            values = found.take(field.name)
            ours[field.name] = pa.nulls(batch.num_rows, field.type) if values is None else _converted(values, field)
    for name in gathered:
        ours[name] = _gathered(found, name)
    ours[OTHERS] = found.others()
    return pa.Table.from_arrays([made(ours[field.name], field, batch.num_rows) for field in staged], schema=staged)


def _converted(values: pa.Array, field: pa.Field) -> pa.Array:
    if pa.types.is_string(values.type) and field.type in {NUMERIC, pa.float64()}:
        is_word = pc.and_not(pc.match_substring_regex(values, _WORDS), pc.match_substring_regex(values, _NOT_FINITE, ignore_case=True))
        values = pc.if_else(is_word, pa.scalar(None, pa.string()), values)
    return CONVERTED[field.type](values, field.name)


_WORDS: Final = "^[^0-9]+$"
"""Reports write None, NA or another word where there is no amount. If it is one that a row cannot do without, the checks say so."""
_NOT_FINITE: Final = "nan|inf"
GATHERERS: Final = "resource_tags"
"""The staging table of AWS has it, and only that."""


def _gathered(found: NamedColumns, name: str) -> pa.Array:
    whole, pattern = found.take(name), GATHERED[name]
    parts = found.take_where(lambda column: match[1] if (match := pattern.fullmatch(column)) else None)
    texts = compact_object({part: value_json(values) for part, values in parts.items()}, found.rows)
    if whole is None:
        return texts
    own = dense(value_json(whole))
    if texts.null_count == len(texts):
        return own
    # CUR 2.0 has columns such as product_comment beside the map: one object of both.
    joined = pc.binary_join_element_wise(pc.utf8_slice_codeunits(own, 0, -1), pc.utf8_slice_codeunits(texts, 1), ",")
    return pc.coalesce(joined, own, texts)
