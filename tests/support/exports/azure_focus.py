"""FOCUS exports as Azure Cost Management delivers them: learn.microsoft.com, "Tutorial: Create and manage Cost Management exports" and
the export manifest of microsoft/finops-toolkit.

Parquet has decimals and tags as text; CSV has times without seconds and may begin with a byte order mark. The manifest is in the folder of
the run, and lists its files with their sizes, counted from the container's root.
"""

import gzip
import io
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.azure import ACCOUNT
from tests.support.exports.aws_focus import CSV, PARQUET, to_csv
from tests.support.exports.focus_rows import COSTS, MAPS, NUMBERS, SINCE_1_0, TIMES, Row, parts
from tests.support.exports.objects import Delivered, Placed

__all__ = ["CSV", "PARQUET", "AzureFocusExport"]
_OWN = {"x_BillingProfileId": "8a93b2c1", "x_CostCenter": "CC-1", "x_PricingBlockSize": None, "x_SkuMeterCategory": "Compute"}
_VERSION_OF = {"1.0r2": "1.0r2", "1.0": "1.0", "1.2": "1.2-preview"}


@dataclass(frozen=True, kw_only=True)
class AzureFocusExport:
    """One export: where it is delivered, and how."""

    account: str = ACCOUNT
    container: str = "exports"
    directory: str = "finops/daily"
    name: str = "focus"
    version: str = "1.2"
    format: str = PARQUET
    compression: str = "snappy"
    """snappy for Parquet; gzip or none for CSV."""
    overwrite: bool = True
    double: bool = False
    """True: amounts are doubles, as AWS has them."""
    kind: str = "FocusCost"
    one_time: bool = False
    """A part of a month that was exported once, by hand."""
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    without: Sequence[str] = ()

    @property
    def location(self) -> str:
        """As the parameter `export` has it."""
        return f"{self.account}/{self.container}/{self.directory}/{self.name}"

    def folder(self, month: date) -> str:
        """Of a period."""
        return f"{self.directory}/{self.name}/{month:%Y%m%d}-{_last(month):%Y%m%d}"

    def deliver(
        self,
        month: date,
        rows: Sequence[Row],
        *,
        files: int = 2,
        at: datetime | None = None,
        until: date | None = None,
        own: Mapping[str, Any] | None = None,
        since: date | None = None,
    ) -> Delivered:
        """The objects of a run submitted at `at`. `since`, `until`: the days that it covers; the whole month without them."""
        at = at or datetime.now(UTC)
        run = uuid.uuid5(uuid.NAMESPACE_OID, at.isoformat())
        folder = f"{self.folder(month)}/{at:%Y%m%d%H%M}/{run}"
        rows = [self._named(row | _OWN | dict(own or {})) for row in rows]
        extension = "snappy.parquet" if self.format == PARQUET else ("csv.gz" if self.compression == "gzip" else "csv")
        data = [
            Placed(key=f"{folder}/part_0_{number:04}.{extension}", body=self._encoded(part))
            for number, part in enumerate(parts(rows, files))
        ]
        body = json.dumps(self._manifest(month, data, rows=len(rows), at=at, run=str(run), days=(since, until)), indent=1).encode()
        return Delivered(data=data, manifest=[Placed(key=f"{folder}/manifest.json", body=body)])

    def _manifest(
        self, month: date, data: Sequence[Placed], *, rows: int, at: datetime, run: str, days: tuple[date | None, date | None]
    ) -> dict[str, Any]:
        first, last = days[0] or month, days[1] or _last(month)
        return {
            "manifestVersion": "2024-04-01",
            "byteCount": sum(len(one.body) for one in data),
            "blobCount": len(data),
            "dataRowCount": rows,
            "exportConfig": {
                "exportName": self.name,
                "resourceId": f"/providers/Microsoft.Billing/billingAccounts/1234/providers/Microsoft.CostManagement/exports/{self.name}",
                "dataVersion": _VERSION_OF.get(self.version, self.version),
                "apiVersion": "2023-07-01-preview",
                "type": self.kind,
                "timeFrame": "Custom" if self.one_time else "MonthToDate",
                "granularity": "Daily",
            },
            "deliveryConfig": {
                "partitionData": True,
                "dataOverwriteBehavior": "OverwritePreviousReport" if self.overwrite else "CreateNewReport",
                "fileFormat": "Parquet" if self.format == PARQUET else "Csv",
                "compressionMode": self.compression.capitalize(),
                "containerUri": f"/subscriptions/0/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/{self.account}",
                "rootFolderPath": self.directory,
            },
            "runInfo": {
                "executionType": "OnDemand" if self.one_time else "Scheduled",
                "submittedTime": f"{at:%Y-%m-%dT%H:%M:%S.%f}0Z",
                "runId": run,
                "startDate": f"{first}T00:00:00",
                "endDate": f"{last}T00:00:00",
            },
            "blobs": [{"blobName": one.key, "byteCount": len(one.body)} for one in data],
        }

    def _named(self, row: Row) -> Row:
        gone = {*self.without, *(SINCE_1_0 if self.version.startswith("1.0") else ())}
        return {name: value for name, value in row.items() if name not in gone}

    def _encoded(self, rows: Sequence[Row]) -> bytes:
        if self.format == PARQUET:
            return self._parquet(rows)
        text = to_csv(rows, time="%Y-%m-%dT%H:%MZ").replace("\n", "\r\n").encode("utf-8-sig")
        return gzip.compress(text) if self.compression == "gzip" else text

    def _parquet(self, rows: Sequence[Row]) -> bytes:
        arrays = list[pa.Array]()
        for name in rows[0]:
            values = [row[name] for row in rows]
            if name in COSTS + NUMBERS:
                array = (
                    pa.array([None if one is None else float(one) for one in values], pa.float64()) if self.double else _decimals(values)
                )
            elif name in TIMES:
                array = pa.array(values, pa.timestamp("ms", tz="UTC"))
            elif name in MAPS:
                array = pa.array([None if one is None else json.dumps(one) for one in values], pa.string())
            else:
                array = pa.array(values, pa.string())
            arrays.append(array.cast(self.types.get(name, array.type)))
        out = io.BytesIO()
        pq.write_table(pa.Table.from_arrays(arrays, names=list(rows[0])), out, compression=self.compression)
        return out.getvalue()


def _decimals(values: Sequence[Any]) -> pa.Array:
    return pa.array(values, pa.decimal128(38, 18))


def _last(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
