"""Where the exports of AWS keep the manifests of a month. Pure.

Data Exports ("Understanding export delivery"): `<export>/metadata/BILLING_PERIOD=YYYY-MM/<name>-Manifest.json`, rewritten at each refresh;
if each refresh creates new files, a copy lies in a further folder of each below that one. FOCUS exports have billing_period in lower case,
as readers of real ones say. Cost and Usage Reports ("Understanding your report versions"):
`<report>/yyyymmdd-yyyymmdd/<name>-Manifest.json`, always rewritten; the second date is the first day of the next month.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum

from services.clouds.aws.location import S3Location
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


def metadata_folder(location: S3Location, month: date, layout: ManifestLayout) -> str:
    """The prefix below which a month's manifests lie, with a slash at its end."""
    if layout is ManifestLayout.RANGES:
        return f"{location.folder}{month:%Y%m%d}-{months_before(month, -1):%Y%m%d}/"
    return f"{location.folder}metadata/{layout.value}={month:%Y-%m}/"


def fixed_manifest(location: S3Location, month: date, layout: ManifestLayout) -> str:
    """The key of the manifest that is rewritten."""
    return f"{metadata_folder(location, month, layout)}{location.name}-Manifest.json"


def layout_of(key: str, location: S3Location, month: date) -> ManifestLayout | None:
    """The layout that a manifest's key belongs to."""
    return next((one for one in ManifestLayout if key.startswith(metadata_folder(location, month, one))), None)


def newest_manifest(objects: Iterable[ListedObject], location: S3Location) -> ListedObject | None:
    """The manifest that was written last: older refreshes' may lie beside it, and files for other tools."""
    names = {f"{location.name}-Manifest.json", "Manifest.json", "manifest.json"}
    manifests = [one for one in objects if one.key.rsplit("/", 1)[-1] in names]
    return max(manifests, key=lambda one: (one.modified_at, one.key), default=None)
