"""Billing exports as Google writes them, for a tenant's project on the emulator. Shapes as in Cloud Billing's documentation."""

import io
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

PAIRS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))
STANDARD = pa.schema(
    [
        ("billing_account_id", pa.string()),
        ("service", pa.struct([("id", pa.string()), ("description", pa.string())])),
        ("sku", pa.struct([("id", pa.string()), ("description", pa.string())])),
        ("usage_start_time", pa.timestamp("us", tz="UTC")),
        ("usage_end_time", pa.timestamp("us", tz="UTC")),
        (
            "project",
            pa.struct(
                [("id", pa.string()), ("number", pa.string()), ("name", pa.string()), ("labels", PAIRS), ("ancestry_numbers", pa.string())]
            ),
        ),
        ("labels", PAIRS),
        ("system_labels", PAIRS),
        ("location", pa.struct([("location", pa.string()), ("country", pa.string()), ("region", pa.string()), ("zone", pa.string())])),
        ("export_time", pa.timestamp("us", tz="UTC")),
        ("cost", pa.float64()),
        ("currency", pa.string()),
        ("currency_conversion_rate", pa.float64()),
        (
            "usage",
            pa.struct(
                [("amount", pa.float64()), ("unit", pa.string()), ("amount_in_pricing_units", pa.float64()), ("pricing_unit", pa.string())]
            ),
        ),
        (
            "credits",
            pa.list_(pa.struct([("name", pa.string()), ("amount", pa.float64()), ("full_name", pa.string()), ("id", pa.string())])),
        ),
        ("invoice", pa.struct([("month", pa.string())])),
        ("cost_type", pa.string()),
    ]
)
DETAILED = pa.schema(
    [
        *STANDARD,
        ("resource", pa.struct([("name", pa.string()), ("global_name", pa.string())])),
        ("cost_at_list", pa.float64()),
    ]
)
_NUMERIC = pa.decimal128(38, 9)
MODERN = pa.schema(
    {field.name: field.type for field in DETAILED}
    | {
        "project": pa.struct(
            [
                ("id", pa.string()),
                ("number", pa.string()),
                ("name", pa.string()),
                ("labels", PAIRS),
                ("ancestry_numbers", pa.string()),
                ("ancestors", pa.list_(pa.struct([("resource_name", pa.string()), ("display_name", pa.string())]))),
            ]
        ),
        "tags": pa.list_(pa.struct([("key", pa.string()), ("value", pa.string()), ("inherited", pa.bool_()), ("namespace", pa.string())])),
        "transaction_type": pa.string(),
        "seller_name": pa.string(),
        "invoice": pa.struct([("month", pa.string()), ("publisher_type", pa.string())]),
        "credits": pa.list_(
            pa.struct(
                [
                    ("name", pa.string()),
                    ("amount", pa.float64()),
                    ("full_name", pa.string()),
                    ("id", pa.string()),
                    ("type", pa.string()),
                ]
            )
        ),
        "adjustment_info": pa.struct([("id", pa.string()), ("description", pa.string()), ("mode", pa.string()), ("type", pa.string())]),
        "subscription": pa.struct([("instance_id", pa.string())]),
        "price": pa.struct(
            [
                ("effective_price", _NUMERIC),
                ("tier_start_amount", _NUMERIC),
                ("unit", pa.string()),
                ("pricing_unit_quantity", _NUMERIC),
                ("list_price", _NUMERIC),
                ("effective_price_default", _NUMERIC),
                ("list_price_consumption_model", _NUMERIC),
            ]
        ),
        "cost_at_effective_price_default": pa.float64(),
        "cost_at_list_consumption_model": pa.float64(),
        "consumption_model": pa.struct([("id", pa.string()), ("description", pa.string())]),
    }
)
"""The detailed export since July 2025."""
MODERN_STANDARD = pa.schema([field for field in MODERN if field.name not in {"resource", "subscription"}])
ACCOUNT = "01AB2C_3D4E5F_6A7B8C"


def row(day: date, hour: int = 0, **changes: object) -> dict[str, Any]:
    """One row of `day`, with defaults for what is not given."""
    start = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
    return {
        "billing_account_id": ACCOUNT.replace("_", "-"),
        "service": {"id": "6F81-5844-456A", "description": "Compute Engine"},
        "sku": {"id": "D2E8-1234-5678", "description": "N1 core"},
        "usage_start_time": start,
        "usage_end_time": start + timedelta(hours=1),
        "project": {"id": "shop", "number": "42", "name": "The shop", "labels": [{"key": "a", "value": "b"}], "ancestry_numbers": "/1/2/"},
        "labels": [],
        "system_labels": [],
        "location": {"location": "us-central1", "country": "US", "region": "us-central1", "zone": None},
        "export_time": start + timedelta(hours=5),
        "cost": 1.0,
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "usage": {"amount": 3600.0, "unit": "seconds", "amount_in_pricing_units": 1.0, "pricing_unit": "hour"},
        "credits": [],
        "invoice": {"month": f"{day:%Y%m}"},
        "cost_type": "regular",
        "resource": {"name": "vm-1", "global_name": "//compute.googleapis.com/projects/shop/zones/z/instances/1"},
        "cost_at_list": 1.5,
        **changes,
    }


def full(day: date, hour: int = 0, **changes: object) -> dict[str, Any]:
    """One row of `day` in which each column of MODERN has a value of its own; each of its lists has an entry."""
    ancestors = [{"resource_name": "projects/42", "display_name": "The shop"}, {"resource_name": "organizations/1", "display_name": "acme"}]
    prices = {"effective_price": "0.031611", "tier_start_amount": "0", "pricing_unit_quantity": "1", "list_price": "0.04"}
    prices |= {"effective_price_default": "0.035", "list_price_consumption_model": "0.038"}
    told: dict[str, object] = {
        "project": row(day)["project"] | {"ancestors": ancestors},
        "labels": [{"key": "team", "value": "shop"}],
        "system_labels": [{"key": "compute.googleapis.com/cores", "value": "4"}],
        "tags": [{"key": "env", "value": "prod", "inherited": True, "namespace": "1234567890"}],
        "credits": [{"name": "CUD", "amount": -0.25, "full_name": "Committed use", "id": "c-1", "type": "COMMITTED_USAGE_DISCOUNT"}],
        "location": {"location": "us-central1", "country": "US", "region": "us-central1", "zone": "us-central1-a"},
        "transaction_type": "GOOGLE",
        "seller_name": "A shop of others",
        "invoice": {"month": f"{day:%Y%m}", "publisher_type": "GOOGLE"},
        "adjustment_info": {"id": "a-1", "description": "a refund", "mode": "MANUAL_ADJUSTMENT", "type": "GOODWILL"},
        "subscription": {"instance_id": "s-1"},
        "price": {name: Decimal(price) for name, price in prices.items()} | {"unit": "hour"},
        "cost_at_effective_price_default": 1.125,
        "cost_at_list_consumption_model": 1.25,
        "consumption_model": {"id": "D97B-0795-975B", "description": "Compute Flexible CUD"},
    }
    return row(day, hour, **{**told, **changes})


def many(day: date, count: int, seed: int = 7) -> list[dict[str, Any]]:
    """`count` rows of several services; some with credits (0 to 3), labels, no resource."""
    rng = random.Random(seed)
    services = [("6F81-5844-456A", "Compute Engine"), ("24E6-581D-38E5", "BigQuery"), ("95FF-2EF5-5EA1", "Cloud Storage")]
    rows = []
    for number in range(count):
        identity, description = rng.choice(services)
        credits_ = [{"name": f"c{i}", "amount": -round(rng.random(), 6), "full_name": None, "id": f"c{i}"} for i in range(rng.randrange(4))]
        labels = [{"key": f"k{i}", "value": rng.choice(['x"y', "prod", "ü\n", ""])} for i in range(rng.randrange(3))]
        rows.append(
            row(
                day,
                hour=number % 24,
                service={"id": identity, "description": description},
                cost=round(rng.random() * 10, 6),
                credits=credits_,
                labels=labels,
                resource=None if number % 5 == 0 else {"name": f"r{number}", "global_name": None},
            )
        )
    return rows


def append(host: str, table: str, rows: Sequence[Mapping[str, Any]], schema: pa.Schema = DETAILED) -> None:
    """Adds rows to `project.dataset.table`, as Google does."""
    load(host, table, rows, schema, disposition="WRITE_APPEND")


def load(
    host: str, table: str, rows: Sequence[Mapping[str, Any]], schema: pa.Schema = DETAILED, *, disposition: str = "WRITE_TRUNCATE"
) -> None:
    """Makes `project.dataset.table` with these rows."""
    project, dataset, _ = table.split(".")
    known = [{name: one.get(name) for name in schema.names} for one in rows]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(known, schema=schema), file)
    with bigquery.Client(project, AnonymousCredentials(), client_options={"api_endpoint": host}) as client:  # type: ignore[no-untyped-call]
        client.create_dataset(f"{project}.{dataset}", exists_ok=True)
        nested = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]
        nested.enable_list_inference = True
        config = bigquery.LoadJobConfig(source_format="PARQUET", parquet_options=nested, write_disposition=disposition)
        client.load_table_from_file(file, table, rewind=True, job_config=config).result()
