"""Where the exports of AWS keep the manifests of a month. Pure.

Data Exports ("Understanding export delivery"): `<export>/metadata/BILLING_PERIOD=YYYY-MM/<name>-Manifest.json`, rewritten at each refresh;
if each refresh creates new files, a copy lies in a further folder of each below that one. FOCUS exports have billing_period in lower case,
as readers of real ones say. Cost and Usage Reports ("Understanding your report versions"):
`<report>/yyyymmdd-yyyymmdd/<name>-Manifest.json`, always rewritten; the second date is the first day of the next month.
"""

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum

from services.clouds.aws.location import S3Location
from services.executor.ledger.exports import KnownExport
from services.executor.sources.exported_months import months_before


class ManifestLayout(Enum):
    """A way to name the folders of a month."""

    PARTITIONS = "BILLING_PERIOD"
    LOWER_PARTITIONS = "billing_period"
    RANGES = "yyyymmdd-yyyymmdd"
    """Of the legacy report."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedObject:
    """An object, as a listing has it."""

    key: str
    etag: str
    modified_at: datetime
    size: int
    """Bytes."""


def metadata_folder(location: S3Location, month: date, layout: ManifestLayout) -> str:
    """The prefix below which a month's manifests lie, with a slash at its end."""
    if layout is ManifestLayout.RANGES:
        return f"{location.folder}{month:%Y%m%d}-{months_before(month, -1):%Y%m%d}/"
    return f"{location.folder}metadata/{layout.value}={month:%Y-%m}/"


def fixed_manifest(location: S3Location, month: date, layout: ManifestLayout) -> str:
    """The key of the manifest that is rewritten."""
    return f"{metadata_folder(location, month, layout)}{location.name}-Manifest.json"


def manifests_prefix(location: S3Location, month: date, layout: ManifestLayout) -> str:
    """What the keys of a month's manifests begin with: a legacy report's lies beside its files, which are not to be listed with it."""
    if layout is ManifestLayout.RANGES:
        return fixed_manifest(location, month, layout)
    return metadata_folder(location, month, layout)


def layout_of(key: str, location: S3Location, month: date) -> ManifestLayout | None:
    """The layout that a manifest's key belongs to."""
    return next((one for one in ManifestLayout if key.startswith(metadata_folder(location, month, one))), None)


def newest_manifest(objects: Iterable[ListedObject], location: S3Location) -> ListedObject | None:
    """The manifest that was written last: older refreshes' may lie beside it, and files for other tools."""
    names = {f"{location.name}-Manifest.json", "Manifest.json", "manifest.json"}
    manifests = [one for one in objects if one.key.rsplit("/", 1)[-1] in names]
    return max(manifests, key=lambda one: (one.modified_at, one.key), default=None)


def is_unchanged(newest: ListedObject, known: KnownExport, location: S3Location) -> bool:
    """True if the newest manifest is the one that is published.

    The same bytes alone do not say so: overwritten files keep their names, so that a manifest of new ones may have the bytes of the old.
    But if each refresh creates new files, the same bytes under another key are the copy that is written beside the files' folders.
    """
    if newest.etag != known.manifest_etag:
        return False
    is_copy = newest.key != known.manifest_key and not (is_in_place(newest.key, location) and is_in_place(known.manifest_key, location))
    return is_copy or newest.modified_at <= known.exported_at


def is_in_place(key: str, location: S3Location) -> bool:
    """True for a manifest that is rewritten: directly in the month's folder."""
    parts = key.removeprefix(location.folder).split("/")
    return len(parts) == (3 if parts[0] == "metadata" else 2)


def folder_of(keys: Sequence[str]) -> str:
    """The innermost folder that all keys lie in, with a slash at its end."""
    return posixpath.commonprefix([f"{key.rpartition('/')[0]}/" for key in keys]).rpartition("/")[0] + "/"
