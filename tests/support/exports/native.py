"""Cost and Usage Reports and Azure actual cost by koku-nise, as keys of a bucket; and the same report as CUR 2.0 has it."""

import csv
import gzip
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.exports.azure_focus import AzureFocusExport
from tests.support.exports.focus_rows import DATA, read_text
from tests.support.exports.objects import Delivered, Placed

CUR, COST = DATA / "nise" / "aws", DATA / "nise" / "azure"
_MAPS = {"product": "product", "resourceTags": "resource_tags", "costCategory": "cost_category"}
_KEPT = {"product": ("fromLocation", "fromLocationType", "fromRegionCode", "instanceFamily", "instanceType", "location", "locationType")}
"""Columns of a product that CUR 2.0 has besides the map."""


@dataclass(frozen=True, kw_only=True)
class NiseReport:
    """A legacy report: plain, plans or reserved."""

    name: str
    bucket: str = "acme-billing"

    @property
    def location(self) -> str:
        """As the parameter `export` has it."""
        return f"s3://{self.bucket}/cur/nise-{self.name}"

    def deliver(self, month: date) -> Delivered:
        """The objects of a month, by nise."""
        [folder] = (CUR / "cur" / f"nise-{self.name}").glob(f"{month:%Y%m%d}-*")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        placed = [Placed(key=path.relative_to(CUR).as_posix(), body=path.read_bytes()) for path in files]
        manifests = [one for one in placed if one.key.endswith("-Manifest.json")]
        return Delivered(data=[one for one in placed if one not in manifests], manifest=sorted(manifests, key=lambda one: -len(one.key)))

    def rows(self, month: date) -> list[dict[str, str]]:
        """All rows of a month."""
        return [row for one in self.deliver(month).data for row in csv.DictReader(io.StringIO(gzip.decompress(one.body).decode()))]


@dataclass(frozen=True, kw_only=True)
class Cur2Export:
    """The rows of a legacy report, as Data Exports writes CUR 2.0: snake case, and maps of products, tags and cost categories."""

    report: NiseReport
    prefix: str = "exports"
    format: str = "parquet"

    @property
    def name(self) -> str:
        return f"cur2-{self.report.name}"

    @property
    def location(self) -> str:
        return f"s3://{self.report.bucket}/{self.prefix}/{self.name}"

    def deliver(self, month: date) -> Delivered:
        rows = [_cur2(row) for row in self.report.rows(month)]
        folder = f"{self.prefix}/{self.name}/data/BILLING_PERIOD={month:%Y-%m}"
        data = list[Placed]()
        for number, part in enumerate((rows[::2], rows[1::2]), 1):
            kind, body = ("snappy.parquet", _cur2_parquet(part)) if self.format == "parquet" else ("csv.gz", _cur2_csv(part))
            data.append(Placed(key=f"{folder}/{self.name}-{number:05}.{kind}", body=body))
        manifest = {
            "exportArn": "arn:aws:bcm-data-exports:us-east-1:123456789012:export/cur2",
            "columns": [{"name": name, "type": "string"} for name in rows[0]],
            "dataFiles": [f"s3://{self.report.bucket}/{one.key}" for one in data],
        }
        key = f"{self.prefix}/{self.name}/metadata/BILLING_PERIOD={month:%Y-%m}/{self.name}-Manifest.json"
        return Delivered(data=data, manifest=[Placed(key=key, body=json.dumps(manifest).encode())])


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.replace("/", "_")).lower()


def _cur2(row: Mapping[str, str]) -> dict[str, Any]:
    found = dict[str, Any]()
    for name, text in row.items():
        kind, _, rest = name.partition("/")
        if kind in _MAPS:
            inner = found.setdefault(_MAPS[kind], {})
            if text:
                inner[re.sub(r"[^a-z0-9]+", "_", _snake(rest))] = text
            if rest in _KEPT.get(kind, ()):
                found[_snake(name)] = text or None
        else:
            found[_snake(name)] = text if text not in {"", "None"} else None
    found["product_region_code"] = row["product/region"] or None
    found["product_servicecode"] = row["product/servicecode"] or None
    found["product_sku"] = row["product/sku"] or None
    found["bill_payer_account_name"] = "acme"
    found["line_item_usage_account_name"] = f"account {row['lineItem/UsageAccountId']}"
    return found


def _is_number(name: str) -> bool:
    ending = re.search(r"(cost|rate|amount|factor|quantity|units|commitment_to_date|for_usage|for_billing_period|commitment|value)$", name)
    return bool(ending) and not name.startswith(("product", "line_item_usage_account"))


def _cur2_parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    fields, arrays = list[tuple[str, pa.DataType]](), list[pa.Array]()
    for name in rows[0]:
        values: list[Any] = [row[name] for row in rows]
        kind: pa.DataType = pa.string()
        if name in _MAPS.values():
            values, kind = [list(one.items()) for one in values], pa.map_(pa.string(), pa.string())
        elif name.endswith(("start_date", "end_date")):
            values, kind = [one and datetime.fromisoformat(one).astimezone(UTC) for one in values], pa.timestamp("ms", tz="UTC")
        elif _is_number(name) and all(one is None or _number(one) is not None for one in values):
            values, kind = [None if one is None else float(one) for one in values], pa.float64()
        fields.append((name, kind))
        arrays.append(pa.array(values, kind))
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), out, compression="snappy")
    return out.getvalue()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _cur2_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows({name: json.dumps(one) if isinstance(one, dict) else one for name, one in row.items()} for row in rows)
    return gzip.compress(out.getvalue().encode())


@dataclass(frozen=True, kw_only=True)
class NiseCost:
    """Azure actual cost of one subscription, EUR or USD. nise writes no manifest: this is Azure's for its one file."""

    currency: str
    compression: str = "none"

    @property
    def export(self) -> AzureFocusExport:
        return AzureFocusExport(name=f"cost-{self.currency.lower()}", kind="ActualCost", version="2023-05-01", format="csv")

    def path(self, month: date) -> Path:
        [path] = (COST / "dir" / f"costreport-{self.currency}").glob(f"{month:%Y%m%d}-*/*.csv.gz")
        return path

    def rows(self, month: date) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(read_text(self.path(month)).decode())))

    def deliver(self, month: date, *, at: datetime | None = None) -> Delivered:
        """The file as it is, and a manifest."""
        at = at or datetime.now(UTC)
        export, body = self.export, read_text(self.path(month))
        folder = f"{export.folder(month)}/{at:%Y%m%d%H%M}/0f3b3d1e-9a38-4e1a-8a4b-0d5f7c1b2a3c"
        ending, body = (".csv.gz", gzip.compress(body)) if self.compression == "gzip" else (".csv", body)
        data = [Placed(key=f"{folder}/{self.path(month).name.split('.')[0]}{ending}", body=body)]
        manifest = export._manifest(month, data, rows=len(self.rows(month)), at=at, run="0f3b3d1e", days=(None, None))
        return Delivered(data=data, manifest=[Placed(key=f"{folder}/manifest.json", body=json.dumps(manifest).encode())])


def native_sums(rows: Iterator[Mapping[str, str]] | Sequence[Mapping[str, str]], *names: str, cost: str) -> dict[tuple[str, ...], Decimal]:
    """The sum of `cost` for each value of the other columns."""
    found = defaultdict[tuple[str, ...], Decimal](Decimal)
    for row in rows:
        found[tuple(row[name] for name in names)] += Decimal(row[cost])
    return dict(found)
