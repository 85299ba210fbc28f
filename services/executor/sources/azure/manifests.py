"""Manifests of Cost Management exports: read, and the one chosen that a billing period is loaded from. Pure.

A run of an export writes data files and then a manifest ("Understand the manifest of an export" in Microsoft's "Tutorial: Create and manage
Cost Management exports"). Its keys differ between versions of Azure's API: only what is used must be there. What the manifest says counts,
not how folders are named, which differs too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from services.clouds.azure.location import AzureLocation
from services.executor.errors import StepError
from services.executor.sources.exported_months import end_of
from services.executor.sources.files.limits import below, read_manifest_json
from services.executor.sources.files.manifest import DataFile, Dataset, FileFormat

NAMES: Final = ("manifest.json", "_manifest.json")
"""The last part of a manifest's name."""
TYPES: Final[Mapping[str, Dataset]] = {
    "focuscost": Dataset.FOCUS,
    "actualcost": Dataset.ACTUAL,
    "usage": Dataset.ACTUAL,  # what ActualCost was called
    "amortizedcost": Dataset.AMORTIZED,
}
"""`exportConfig.type`, in lower case, of the exports that can be read."""
_KINDS: Final[Mapping[Dataset, str]] = {
    Dataset.FOCUS: "cost and usage details (FOCUS)",
    Dataset.ACTUAL: "cost and usage details (actual)",
    Dataset.AMORTIZED: "cost and usage details (amortized)",
}
"""As the portal calls them."""
_FORMATS: Final[Mapping[str, FileFormat]] = {"csv": FileFormat.CSV, "parquet": FileFormat.PARQUET}
_OLD: Final = ("0.", "1.0-preview")
"""Versions of FOCUS exports whose columns are others."""


def period_prefix(location: AzureLocation, month: date) -> str:
    """Of the names of a billing period's blobs: `directory/name/YYYYMMDD-YYYYMMDD/`."""
    return f"{location.prefix}{month:%Y%m%d}-{end_of(month):%Y%m%d}/"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedManifest:
    """A manifest as the list of blobs has it."""

    key: str
    etag: str
    """Opaque, without quotes."""
    modified_at: datetime
    size: int
    """Bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AzureManifest:
    """What a manifest says."""

    listed: ListedManifest
    dataset: Dataset | None
    """None: of a type that cannot be read."""
    version: str | None
    """`exportConfig.dataVersion`, e.g. 1.2-preview."""
    scope: str
    """The export's resource id, in lower case; empty: unknown."""
    submitted_at: datetime
    """When the export's run began (UTC): of two runs the later one is right."""
    run_id: str
    first: date
    """The first day that the run covers."""
    last: date
    """The last one."""
    files: tuple[DataFile, ...]
    row_count: int | None

    def covered_of(self, month: date) -> date:
        """The last day of the month that the run can have: it knows nothing of what came after it."""
        return min(self.last, self.submitted_at.date(), end_of(month))

    def covers(self, month: date) -> bool:
        """True if the run has all of the month that there was: to its end, or to the day of the run, which need not be in it yet."""
        return self.first <= month and self.last >= min(end_of(month), self.submitted_at.date() - timedelta(days=1))


def read_manifest(text: bytes, listed: ListedManifest, location: AzureLocation, month: date, *, most: int) -> AzureManifest:
    """Parses a manifest of at most `most` bytes. Raises StepError, which names it, if it cannot be used; retryable if it may be
    incomplete.
    """
    content = read_manifest_json(text, listed.key, most=most)
    config, delivery, run = (_object(content, key) for key in ("exportConfig", "deliveryConfig", "runInfo"))
    dataset = TYPES.get(str(config.get("type", "")).lower())
    blobs = content.get("blobs")
    if not isinstance(blobs, list):
        raise _unusable(listed, "lists no blobs")
    if (count := _number(content, "blobCount")) is not None and count != len(blobs):
        raise _unusable(listed, f"lists {len(blobs)} blobs, but says that there are {count}", is_retryable=True)
    file_format = _FORMATS.get(str(delivery.get("fileFormat", "")).lower())
    first = _time(run, "startDate")
    last = _time(run, "endDate")
    return AzureManifest(
        listed=listed,
        dataset=dataset,
        version=str(config["dataVersion"]) if config.get("dataVersion") else None,
        scope=str(config.get("resourceId") or "").lower(),
        # No run begins after its manifest was written: a time in the future would keep all later runs out.
        submitted_at=min(_time(run, "submittedTime") or listed.modified_at, listed.modified_at),
        run_id=str(run.get("runId") or listed.key.rsplit("/", 2)[-2]),
        first=first.date() if first else month,
        last=last.date() if last else end_of(month),
        files=_files(blobs, listed, location, dataset, file_format) if dataset else (),
        row_count=_rows(content, blobs),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenManifest:
    """The manifest that a period is loaded from, and why not others."""

    manifest: AzureManifest | None
    notes: tuple[str, ...] = ()
    """A sentence for each manifest that was passed over though it is the newest."""


def choose(manifests: Iterable[AzureManifest], dataset: Dataset, month: date, published_to: date | None) -> ChosenManifest:
    """Of the manifests that cover the period from its first day to date, the one of the latest run.

    Others, and one that ends before a day that another covers or before `published_to` (the last day of the period with published rows),
    are one-time exports of a part of the month: they do not replace what is fuller. Raises StepError if none is of `dataset`, and if two
    exports write to the same place.
    """
    found = sorted(manifests, key=lambda one: (one.submitted_at, one.listed.modified_at, one.listed.key))
    right = [one for one in found if one.dataset is dataset]
    if found and not right:
        raise StepError(_another_type(found[-1], dataset))
    _refuse_two_exports(right)
    covering = [one for one in right if one.covers(month)]
    fullest = max([one.covered_of(month) for one in covering], default=month)
    whole = [one for one in covering if one.covered_of(month) == fullest and not (published_to and one.last < published_to)]
    chosen = whole[-1] if whole else None
    passed_over = [one for one in right if one not in whole and (chosen is None or one.submitted_at >= chosen.submitted_at)]
    if chosen and dataset is Dataset.FOCUS and (chosen.version or "").startswith(_OLD):
        raise StepError(
            f"The export is of FOCUS {chosen.version}, whose columns are others. Make an export of version 1.2-preview under Cost "
            "Management > Exports, and name that one."
        )
    return ChosenManifest(manifest=chosen, notes=tuple(_passed_over(one, month) for one in passed_over))


def _passed_over(one: AzureManifest, month: date) -> str:
    return (
        f"{one.listed.key} was passed over: its run covers {one.first} to {one.last}, which is not all that is known of {month:%Y-%m}. "
        "Export the whole month to replace it."
    )


def _another_type(one: AzureManifest, wanted: Dataset) -> str:
    kind = f"is of {_KINDS[one.dataset]}" if one.dataset else "has another type of data"
    template = {Dataset.FOCUS: "azure/cost/focus"}.get(one.dataset, "azure/cost/actual") if one.dataset else None
    return f"The export {kind}, and this needs {_KINDS[wanted]}. Name an export of that type under Cost Management > Exports" + (
        f", or run {template} for this one." if template else "."
    )


def _refuse_two_exports(manifests: Sequence[AzureManifest]) -> None:
    """Exports of two scopes may have the same name and directory; each run of one would then replace the other's cost."""
    scopes = {one.scope for one in manifests if one.scope}
    spans = {scope: [one.submitted_at for one in manifests if one.scope == scope] for scope in scopes}
    for scope, times in spans.items():
        for other, others in spans.items():
            # An export that was made anew in another scope follows the old one; two that run take turns.
            if scope != other and min(times) <= min(others) < max(times):
                raise StepError(
                    f"Two exports write to the same place: {scope} and {other}. Give one of them another directory under Cost Management > "
                    "Exports, and run this for each."
                )


def _files(
    blobs: list[Any], listed: ListedManifest, location: AzureLocation, dataset: Dataset, file_format: FileFormat | None
) -> tuple[DataFile, ...]:
    files = []
    for blob in blobs:
        name = blob.get("blobName") if isinstance(blob, dict) else None
        if not isinstance(name, str) or not name:
            raise _unusable(listed, "has a blob without a name")
        size = _number(blob, "byteCount")
        files.append(DataFile(key=_key(name, location), dataset=dataset, size=size, format=file_format))
    return tuple(files)


def _key(name: str, location: AzureLocation) -> str:
    """The blob's name in the container, which some manifests put in front of it."""
    name = name.strip().lstrip("/")
    within = f"{location.container}/"
    # A directory may be called as the container is.
    return below(location.prefix, name if name.startswith(location.prefix) else name.removeprefix(within))


def _rows(content: Mapping[str, Any], blobs: list[Any]) -> int | None:
    if (count := _number(content, "dataRowCount")) is not None:
        return count
    counts = [_number(blob, "dataRowCount") for blob in blobs]
    return sum(count for count in counts if count is not None) if counts and None not in counts else None


def _object(content: Any, key: str) -> Mapping[str, Any]:
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, dict) else {}


def _number(content: Any, key: str) -> int | None:
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _time(content: Mapping[str, Any], key: str) -> datetime | None:
    """Azure writes times with seven decimals, and some without a time zone: UTC."""
    try:
        time = datetime.fromisoformat(str(content.get(key)))
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _unusable(listed: ListedManifest, problem: str, *, is_retryable: bool = False) -> StepError:
    return StepError(
        f"The manifest {listed.key} {problem}. Run the export again under Cost Management > Exports, and this when it has finished.",
        is_retryable=is_retryable,
    )
