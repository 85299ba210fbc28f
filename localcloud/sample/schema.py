"""The columns of Google's usage cost exports, as Google documents them: of the detailed one (`gcp_billing_export_resource_v1_*`), and of
the standard one, which has all but two of them.

https://docs.cloud.google.com/billing/docs/how-to/export-data-bigquery-tables/detailed-usage
"""

from collections.abc import Iterable, Mapping

import pyarrow as pa
from google.cloud.bigquery import SchemaField

TIMESTAMP = pa.timestamp("us", tz="UTC")
NUMERIC = pa.decimal128(38, 9)
_TYPES = {pa.string(): "STRING", pa.float64(): "FLOAT64", pa.bool_(): "BOOL", TIMESTAMP: "TIMESTAMP", NUMERIC: "NUMERIC"}


def _struct(**fields: pa.DataType) -> pa.StructType:
    return pa.struct(list(fields.items()))


def _strings(*names: str) -> pa.StructType:
    return _struct(**dict.fromkeys(names, pa.string()))


COLUMNS: Mapping[str, pa.DataType] = {
    "billing_account_id": pa.string(),
    "service": _strings("id", "description"),
    "sku": _strings("id", "description"),
    "usage_start_time": TIMESTAMP,
    "usage_end_time": TIMESTAMP,
    "project": _struct(
        id=pa.string(),
        number=pa.string(),
        name=pa.string(),
        labels=pa.list_(_strings("key", "value")),
        ancestry_numbers=pa.string(),
        ancestors=pa.list_(_strings("resource_name", "display_name")),
    ),
    "labels": pa.list_(_strings("key", "value")),
    "system_labels": pa.list_(_strings("key", "value")),
    "location": _strings("location", "country", "region", "zone"),
    "tags": pa.list_(_struct(key=pa.string(), value=pa.string(), inherited=pa.bool_(), namespace=pa.string())),
    "export_time": TIMESTAMP,
    "cost": pa.float64(),
    "currency": pa.string(),
    "currency_conversion_rate": pa.float64(),
    "usage": _struct(amount=pa.float64(), unit=pa.string(), amount_in_pricing_units=pa.float64(), pricing_unit=pa.string()),
    "credits": pa.list_(_struct(name=pa.string(), amount=pa.float64(), full_name=pa.string(), id=pa.string(), type=pa.string())),
    "invoice": _strings("month", "publisher_type"),
    "cost_type": pa.string(),
    "adjustment_info": _strings("id", "description", "mode", "type"),
    "price": _struct(
        effective_price=NUMERIC,
        tier_start_amount=NUMERIC,
        unit=pa.string(),
        pricing_unit_quantity=NUMERIC,
        list_price=NUMERIC,
        effective_price_default=NUMERIC,
        list_price_consumption_model=NUMERIC,
    ),
    "cost_at_list": pa.float64(),
    "transaction_type": pa.string(),
    "seller_name": pa.string(),
    "cost_at_effective_price_default": NUMERIC,
    "cost_at_list_consumption_model": NUMERIC,
    "consumption_model": _strings("id", "description"),
    "resource": _strings("name", "global_name"),
    "subscription": _strings("instance_id"),
}
DETAILED = pa.schema(list(COLUMNS.items()))
STANDARD = pa.schema([field for field in DETAILED if field.name not in {"resource", "subscription"}])


def bigquery_schema(columns: pa.Schema) -> list[SchemaField]:
    """The same columns as BigQuery knows them."""
    return _fields(columns)


def _fields(fields: Iterable[pa.Field]) -> list[SchemaField]:
    return [_field(field.name, field.type) for field in fields]


def _field(name: str, kind: pa.DataType) -> SchemaField:
    mode, kind = ("REPEATED", kind.value_type) if pa.types.is_list(kind) else ("NULLABLE", kind)
    if pa.types.is_struct(kind):
        return SchemaField(name, "RECORD", mode=mode, fields=_fields(kind))
    return SchemaField(name, _TYPES[kind], mode=mode)
