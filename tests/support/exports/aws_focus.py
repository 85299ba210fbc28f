"""FOCUS exports as AWS Data Exports delivers them, and CUR 2.0: `docs.aws.amazon.com/cur/latest/userguide`, "Understanding export
delivery" and the table dictionaries of FOCUS 1.0 and 1.2 with AWS columns.

Costs and quantities are doubles, tags a map, times milliseconds; the manifest lists the files by URI and is written last.
"""

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.exports.focus_rows import COSTS, MAPS, NUMBERS, SINCE_1_0, TIMES, Row, parts
from tests.support.exports.objects import Delivered, Placed

PARQUET, CSV = "parquet", "csv"
_OWN = {"x_Discounts": {}, "x_Operation": "RunInstances", "x_ServiceCode": "AmazonEC2", "x_UsageType": "EUC1-BoxUsage:m5.large"}


@dataclass(frozen=True, kw_only=True)
class AwsFocusExport:
    """One export: where it is delivered, and how."""

    bucket: str = "acme-billing"
    prefix: str = "exports/finops"
    name: str = "focus"
    version: str = "1.2"
    """1.0 has no columns of later versions."""
    format: str = PARQUET
    overwrite: bool = True
    """False: each refresh puts its files into a folder of its own."""
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Columns that are delivered in another type than AWS says."""
    without: Sequence[str] = ()
    """Columns that are left out."""

    @property
    def location(self) -> str:
        """As the parameter `export` has it."""
        return f"s3://{self.bucket}/{self.prefix}/{self.name}"

    def manifest_key(self, month: date) -> str:
        """The manifest's name."""
        return f"{self.prefix}/{self.name}/metadata/BILLING_PERIOD={month:%Y-%m}/{self.name}-Manifest.json"

    def deliver(
        self, month: date, rows: Sequence[Row], *, files: int = 2, at: datetime | None = None, own: Mapping[str, Any] | None = None
    ) -> Delivered:
        """The objects of a refresh. `at` names its folder and execution; `own`: columns that all rows have besides FOCUS's."""
        at = at or datetime.now(UTC)
        execution = f"{at:%Y%m%dT%H%M%S.%f}Z-{abs(hash(at)):x}"
        rows = [self._named(row | _OWN | dict(own or {})) for row in rows]
        folder = f"{self.prefix}/{self.name}/data/BILLING_PERIOD={month:%Y-%m}" + ("" if self.overwrite else f"/{execution}")
        extension, encode = ("snappy.parquet", self._parquet) if self.format == PARQUET else ("csv.gz", _gzip_csv)
        data = [
            Placed(key=f"{folder}/{self.name}-{number:05}.{extension}", body=encode(part))
            for number, part in enumerate(parts(rows, files), 1)
        ]
        manifest = {
            "exportArn": f"arn:aws:bcm-data-exports:us-east-1:123456789012:export/{self.name}-0e4ff5a1",
            "executionId": execution,
            "columns": [{"name": name, "type": "string"} for name in rows[0]],
            "dataFiles": [f"s3://{self.bucket}/{one.key}" for one in data],
            "additionalOutputFiles": [],
            "billingPeriod": {"start": f"{month:%Y-%m-01}T00:00:00.000Z"},
        }
        body = json.dumps(manifest, indent=1).encode()
        return Delivered(data=data, manifest=[Placed(key=self.manifest_key(month), body=body)])

    def _named(self, row: Row) -> Row:
        gone = {*self.without, *(SINCE_1_0 if self.version == "1.0" else ())}
        return {name: value for name, value in row.items() if name not in gone}

    def _parquet(self, rows: Sequence[Row]) -> bytes:
        schema = pa.schema([(name, self.types.get(name, _type(name))) for name in rows[0]])
        columns = [
            pa.array([_native(row[name]) for row in rows], pa.float64()) if name in COSTS + NUMBERS else None for name in schema.names
        ]
        arrays = [
            (column if column is not None else pa.array([_mapped(row[name]) for row in rows], _type(name))).cast(schema.field(name).type)
            for name, column in zip(schema.names, columns, strict=True)
        ]
        out = io.BytesIO()
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), out, compression="snappy", row_group_size=64)
        return out.getvalue()


def _type(name: str) -> pa.DataType:
    if name in COSTS + NUMBERS:
        return pa.float64()
    if name in TIMES:
        return pa.timestamp("ms", tz="UTC")
    if name == "x_Discounts":
        return pa.map_(pa.string(), pa.float64())
    return pa.map_(pa.string(), pa.string()) if name in MAPS else pa.string()


def _native(value: Any) -> float | None:
    return None if value is None else float(value)


def _mapped(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, one if isinstance(one, (str, float)) else json.dumps(one)) for key, one in value.items()]
    return value


def _gzip_csv(rows: Sequence[Row]) -> bytes:
    return gzip.compress(to_csv(rows, time="%Y-%m-%dT%H:%M:%S.000Z").encode())


def to_csv(rows: Sequence[Mapping[str, Any]], *, time: str) -> str:
    """CSV with a header, maps as JSON, times as `time` has them."""

    def text(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.strftime(time)
        return json.dumps(value) if isinstance(value, dict) else value

    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: text(value) for name, value in row.items()} for row in rows)
    return out.getvalue()
