"""Manifests of AWS: the bytes of one become a Manifest. Pure.

AWS documents what a manifest of Data Exports contains, not under which names ("Understanding export delivery"). `dataFiles`, `executionId`
and `columns` are what readers of real ones use; a legacy report's `reportKeys`, `assemblyId`, `compression` and `contentType` are
documented. Other spellings are understood where they have one meaning, and everything else is refused with words.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from services.clouds.aws.location import S3Location
from services.executor.errors import StepError
from services.executor.sources.aws.layouts import is_in_place
from services.executor.sources.files.limits import below, read_manifest_json
from services.executor.sources.files.manifest import DataFile, Dataset, FileFormat, Manifest

_FILES: Final = ("dataFiles", "dataFile", "data_files", "reportKeys", "reportFiles", "files")
_KEYS: Final = ("key", "s3Key", "s3Uri", "uri", "url", "path", "filePath", "fileName", "location", "name")
_SIZES: Final = ("size", "sizeInBytes", "byteCount", "contentLength", "fileSize")
_IDS: Final = ("executionId", "assemblyId", "exportExecutionId", "execution_id", "id")
_FOCUS_VERSION: Final = re.compile(r"FOCUS[_ ](?P<major>\d+)[_.](?P<minor>\d+)", re.IGNORECASE)
_KINDS: Final = (
    (Dataset.FOCUS, frozenset({"BilledCost"}), "FOCUS"),
    (Dataset.CUR2, frozenset({"line_item_unblended_cost"}), "CUR 2.0"),
    (Dataset.CUR, frozenset({"lineItem/UnblendedCost"}), "a Cost and Usage Report"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestObject:
    """A manifest as it was downloaded."""

    key: str
    etag: str
    modified_at: datetime
    body: bytes


def parse_manifest(found: ManifestObject, location: S3Location, month: date, dataset: Dataset, *, most: int) -> Manifest | None:
    """The manifest, of at most `most` bytes; None if it lists no file (yet). Raises StepError, naming the manifest, if it is no manifest,
    or not one of this export, month and dataset, or if a file in it is not the export's own.
    """
    values = read_manifest_json(found.body, found.key, most=most)
    columns = _columns(values)
    _refuse_other(values, columns, found, month, dataset)
    files = tuple(_data_file(entry, values, found, location, dataset) for entry in _entries(values, found))
    if not files:
        return None
    id_ = _text(values, _IDS)
    # New files for each refresh lie in a folder of its own, or have its id in their name: those are never rewritten.
    is_kept = not is_in_place(found.key, location) or bool(id_ and all(id_ in file.key for file in files))
    return Manifest(
        month=month,
        key=found.key,
        etag=found.etag,
        id=id_ or found.etag.strip('"'),
        exported_at=found.modified_at,
        focus_version=_focus_version(values) if dataset is Dataset.FOCUS else None,
        files=files,
        delivered_at=None if is_kept else found.modified_at,
    )


def _columns(values: Mapping[str, Any]) -> frozenset[str]:
    """Names of the columns, a legacy report's with their category."""
    columns = values.get("columns")
    return frozenset(_column_names(columns)) if isinstance(columns, list) else frozenset()


def _column_names(columns: Sequence[Any]) -> Iterator[str]:
    for column in columns:
        if isinstance(column, str):
            yield column
        elif isinstance(column, dict):
            name = str(_text(column, ("name", "columnName", "Name")))
            yield f"{column['category']}/{name}" if "category" in column else name


def _refuse_other(values: Mapping[str, Any], columns: frozenset[str], found: ManifestObject, month: date, dataset: Dataset) -> None:
    """Raises StepError for the manifest of another dataset or month."""
    kinds = [(kind, name) for kind, signs, name in _KINDS if signs <= columns]
    if kinds and dataset not in {kind for kind, _ in kinds}:
        wanted = next(name for kind, _, name in _KINDS if kind is dataset)
        template = "aws/cost/focus" if kinds[0][0] is Dataset.FOCUS else "aws/cost/cur"
        raise StepError(f"The export of {found.key} is {kinds[0][1]}, not {wanted}. Run the pipeline {template} for it.")
    period = values.get("billingPeriod")
    start = period.get("start") if isinstance(period, dict) else period
    digits = re.sub(r"[^0-9]", "", str(start or ""))[:8]
    if digits and not f"{month:%Y%m%d}".startswith(digits):
        raise StepError(f"The manifest {found.key} is of the billing period that starts {digits}, not of {month:%Y-%m}.")
    kind = " ".join(str(values.get(name, "")) for name in ("compression", "contentType")).lower()
    if "zip" in kind.replace("gzip", ""):
        raise StepError("The report is delivered in ZIP files, which are not read. Set its compression to GZIP or Parquet in AWS Billing.")


def _entries(values: Mapping[str, Any], found: ManifestObject) -> list[Any]:
    for name in _FILES:
        entries = values.get(name)
        if isinstance(entries, str | dict):
            return [entries]
        if isinstance(entries, list):
            return entries
    raise StepError(
        f"The manifest {found.key} has no list of data files that is known here (one of {', '.join(_FILES)}). Check that `export` names "
        "an AWS export, and send the manifest to the operator if it does."
    )


def _data_file(entry: Any, values: Mapping[str, Any], found: ManifestObject, location: S3Location, dataset: Dataset) -> DataFile:
    named = entry if isinstance(entry, str) else _text(entry, _KEYS) if isinstance(entry, dict) else None
    if not named:
        raise StepError(f"The manifest {found.key} lists a data file without a name. Run it again after AWS's next delivery.")
    key = below(location.path, _key(named, found, location))
    size = next((entry[name] for name in _SIZES if name in entry), None) if isinstance(entry, dict) else None
    is_size = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    return DataFile(key=key, dataset=dataset, size=size if is_size else None, format=_format(key, values))


def _key(named: str, found: ManifestObject, location: S3Location) -> str:
    """The key in the bucket, of a URL, a key, or a name beside the others of the month."""
    if named.startswith("s3://"):
        bucket, _, key = named.removeprefix("s3://").partition("/")
        if bucket != location.bucket:
            raise StepError(
                f"The manifest {found.key} lists a file in another bucket than {location.bucket}, which is not read: {bucket[:63]!r}. "
                "Check who may write to the bucket."
            )
        return key
    key = named.lstrip("/") if not location.path.startswith("/") else named
    if key.startswith("data/"):
        return location.folder + key
    if "/" not in key:  # beside the manifest, or in the folder `data` beside `metadata`
        folder = found.key.rsplit("/", 1)[0]
        return f"{folder.replace(f'{location.folder}metadata/', f'{location.folder}data/', 1)}/{key}"
    return key


def _format(key: str, values: Mapping[str, Any]) -> FileFormat | None:
    lowered = key.lower()
    if lowered.endswith(".parquet"):
        return FileFormat.PARQUET
    if lowered.endswith((".csv", ".csv.gz")):
        return FileFormat.CSV
    kind = " ".join(str(values.get(name, "")) for name in ("contentType", "format", "compression")).lower()
    return FileFormat.PARQUET if "parquet" in kind else FileFormat.CSV if "csv" in kind else None


def _focus_version(values: Mapping[str, Any]) -> str | None:
    """As the export's table is called, e.g. FOCUS_1_2_AWS, if the manifest has its query or the table; the rows show it, too."""
    named = _FOCUS_VERSION.search(json.dumps({name: value for name, value in values.items() if name not in {"columns", *_FILES}}))
    return f"{named['major']}.{named['minor']}" if named else None


def _text(values: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((value for name in names if isinstance(value := values.get(name), str) and value), None)
