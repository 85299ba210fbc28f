"""The sample tenant's exports in Blob Storage, as Cost Management delivers them: a folder a run, data files first, the manifest last."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from localcloud.sample.azure.columns import AzureRow, csv_file, parquet_file
from localcloud.sample.azure.rows import PROFILE_ID, azure_month, next_month, run_id

CONTAINER: Final = "exports"
DIRECTORY: Final = "finops"
PARTS: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportFormat:
    """How an export writes its files."""

    name: str
    """The export's."""
    file_format: str
    compression: str
    suffix: str
    write: Callable[[Sequence[AzureRow]], bytes]


PARQUET: Final = ExportFormat(name="daily-focus", file_format="Parquet", compression="Snappy", suffix="snappy.parquet", write=parquet_file)
CSV: Final = ExportFormat(name="daily-focus-csv", file_format="Csv", compression="Gzip", suffix="csv.gz", write=csv_file)
"""A second export of the same cost. Loaded besides the first, it would count twice."""


def deliver_azure(container: Any, month: date, through: date, *, export: ExportFormat = PARQUET, is_restated: bool = False) -> int:
    """One run for one month, on the day after `through`, the last day that has charges; its number of rows. `container`: a client that may
    write.
    """
    rows = azure_month(month, through, is_restated=is_restated)
    last = next_month(month) - timedelta(days=1)
    submitted = datetime.combine(min(through, last) + timedelta(days=1), time(10 if is_restated else 5, 4, 6))
    run = run_id(export.name, submitted)
    folder = f"{DIRECTORY}/{export.name}/{month:%Y%m%d}-{last:%Y%m%d}/{submitted:%Y%m%d%H%M}/{run}"
    parts = [rows[index::PARTS] for index in range(PARTS)]
    blobs, size = [], 0
    for number, part in enumerate(parts):
        name, content = f"{folder}/part_{number}_0001.{export.suffix}", export.write(part)
        size += len(content)
        container.upload_blob(name, content, overwrite=True)
        blobs.append({"blobName": name, "byteCount": len(content), "dataRowCount": len(part)})
    manifest = {
        "manifestVersion": "2024-04-01",
        "byteCount": size,
        "blobCount": len(blobs),
        "dataRowCount": len(rows),
        "exportConfig": {
            "exportName": export.name,
            "resourceId": f"{PROFILE_ID}/providers/Microsoft.CostManagement/exports/{export.name}",
            "dataVersion": "1.2-preview",
            "apiVersion": "2023-07-01-preview",
            "type": "FocusCost",
            "timeFrame": "MonthToDate",
            "granularity": "Daily",
        },
        "deliveryConfig": {
            "partitionData": True,
            "dataOverwriteBehavior": "CreateNewReport",
            "fileFormat": export.file_format,
            "compressionMode": export.compression,
            "containerUri": f"/subscriptions/{run_id('subscription')}/resourceGroups/rg-finops/providers/Microsoft.Storage/storageAccounts",
            "rootFolderPath": DIRECTORY,
        },
        "runInfo": {
            "executionType": "OnDemand" if is_restated else "Scheduled",
            "submittedTime": f"{submitted.isoformat()}.1234567Z",
            "runId": run,
            "startDate": f"{month.isoformat()}T00:00:00",
            "endDate": f"{min(submitted.date(), last).isoformat()}T00:00:00Z",
        },
        "blobs": blobs,
    }
    container.upload_blob(f"{folder}/manifest.json", json.dumps(manifest, indent=1).encode(), overwrite=True)
    return len(rows)
