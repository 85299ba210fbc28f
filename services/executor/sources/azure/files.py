"""A Cost Management export in Blob Storage, as `BillingFiles`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import IO, TYPE_CHECKING, Final

from services.clouds.access import AccessRefused
from services.clouds.azure.location import AzureLocation
from services.clouds.azure.refusals import AskedBlob, AzureAnswer, answer_of, blob_refused
from services.executor.errors import StepError
from services.executor.ledger.exports import KnownExport
from services.executor.sources.azure.manifests import NAMES, AzureManifest, ListedManifest, choose, period_prefix, read_manifest
from services.executor.sources.files.manifest import DataFile, Dataset, Fetched, Manifest, NoExport
from services.executor.sources.source import CheckCancelled, Unchanged

if TYPE_CHECKING:  # a process that serves other clouds only does without
    from azure.storage.blob import BlobProperties, ContainerClient, StorageStreamDownloader

    from services.clouds.azure.identity import AzureIdentity

PAGE: Final = 5_000
"""Names of one request, Azure's most: a month of an export has fewer, unless none was ever deleted."""
MOST_LISTED: Final = 100_000
_MISSING, _REPLACED = 404, 412


@dataclass(frozen=True, kw_only=True, slots=True)
class _Listed:
    manifests: tuple[ListedManifest, ...]
    others: int
    """Other blobs of the period."""


class BlobFiles:
    """One export of one dataset. See BillingFiles."""

    def __init__(self, identity: "AzureIdentity", location: AzureLocation, dataset: Dataset, *, max_manifest_bytes: int) -> None:
        """No I/O. Closes `identity` when it is closed."""
        self._identity = identity
        self._location = location
        self._dataset = dataset
        self._most = max_manifest_bytes
        self._container: ContainerClient = identity.container(location.account, location.container)

    @property
    def source_id(self) -> str:
        """E.g. AZURE/account/container/directory/name."""
        return f"AZURE/{self._location}"

    def manifest(self, month: date, known: KnownExport | None, check_cancelled: CheckCancelled) -> Manifest | Unchanged | NoExport:
        """One list of the period's blobs, and the manifests that are newer than the known one."""
        listed = self._list(month, check_cancelled)
        current = next(
            (one for one in listed.manifests if known and (one.key, one.etag) == (known.manifest_key, known.manifest_etag)), None
        )
        newer = [one for one in listed.manifests if current is None or (one.modified_at >= current.modified_at and one != current)]
        if known and current and not newer:
            return Unchanged(as_of=known.exported_at)
        read = [self._read(one, month, check_cancelled) for one in [*newer, *([current] if current else [])]]
        chosen = choose(read, self._dataset, month, None if current else _published_to(known, month))
        if known and chosen.manifest and (chosen.manifest.listed == current or chosen.manifest.submitted_at < known.exported_at):
            # Also if the published one was deleted, and those that are left are older.
            return Unchanged(as_of=known.exported_at, notes=chosen.notes)
        if chosen.manifest is None:
            return NoExport(reason=" ".join(chosen.notes) or self._nothing(month, listed))
        return _manifest(chosen.manifest, month, chosen.notes)

    def is_current(self, manifest: Manifest) -> bool:
        """Asks for the manifest's version."""
        try:
            with self._explained(manifest.key):
                return _etag(self._container.get_blob_client(manifest.key).get_blob_properties()) == manifest.etag
        except _Missing:
            return False

    def fetch(self, file: DataFile, into: IO[bytes], most: int, check_cancelled: CheckCancelled) -> Fetched:
        """Writes the blob in chunks, each of which must be of the first one's version."""
        check_cancelled()
        try:
            with self._explained(file.key):
                stream = self._open(file.key)
                self._check_size(file, stream.size, most)
                for chunk in stream.chunks():
                    check_cancelled()
                    into.write(chunk)
                return Fetched(size=stream.size, modified_at=stream.properties.last_modified)
        except _Missing:
            raise StepError(
                f"The manifest lists {file.key}, which is not in container {self._location.container}. Perhaps it was deleted: run the "
                "export again under Cost Management > Exports, and this when it has finished.",
                is_retryable=True,
            ) from None

    def close(self) -> None:
        """Closes the connections."""
        self._identity.close()

    def _list(self, month: date, check_cancelled: CheckCancelled) -> _Listed:
        prefix = period_prefix(self._location, month)
        manifests, others = list[ListedManifest](), 0
        check_cancelled()
        with self._explained(None):
            for page in self._container.list_blobs(name_starts_with=prefix, results_per_page=PAGE).by_page():
                check_cancelled()
                for blob in page:
                    if blob.name.rsplit("/", 1)[-1] in NAMES and blob.name.isprintable():
                        listed = ListedManifest(key=blob.name, etag=_etag(blob), modified_at=blob.last_modified, size=blob.size)
                        manifests.append(listed)
                    else:
                        others += 1
                if others + len(manifests) > MOST_LISTED:
                    raise StepError(f"There are more than {MOST_LISTED:,} blobs below {prefix}. Delete old runs of the export.")
        return _Listed(manifests=tuple(manifests), others=others)

    def _read(self, listed: ListedManifest, month: date, check_cancelled: CheckCancelled) -> AzureManifest:
        check_cancelled()
        if listed.size > self._most:
            raise StepError(f"The manifest {listed.key} has {listed.size:,} bytes; at most {self._most:,} are read.")
        try:
            with self._explained(listed.key):
                stream = self._open(listed.key, etag=listed.etag)
                return read_manifest(b"".join(stream.chunks()), listed, self._location, month, most=self._most)
        except _Missing:
            raise _replaced(listed.key) from None

    def _open(self, key: str, etag: str | None = None) -> "StorageStreamDownloader[bytes]":
        """The blob, from its first bytes on; of this version, unless it is None."""
        from azure.core import MatchConditions  # noqa: PLC0415 - see TYPE_CHECKING

        blob = self._container.get_blob_client(key)
        # As it is stored: what is compressed is for the reader to decompress, within its limits.
        if etag is None:
            return blob.download_blob(max_concurrency=1, decompress=False)
        return blob.download_blob(max_concurrency=1, decompress=False, etag=f'"{etag}"', match_condition=MatchConditions.IfNotModified)

    def _check_size(self, file: DataFile, size: int, most: int) -> None:
        if size > most:
            raise StepError(
                f"{file.key} has {size:,} bytes; at most {most:,} are read of one file. Turn on file partitioning for the export under "
                "Cost Management > Exports."
            )
        if file.size is not None and size != file.size:
            raise StepError(
                f"{file.key} has {size:,} bytes, and its manifest says {file.size:,}: the export is being rewritten. Run it again when it "
                "has finished.",
                is_retryable=True,
            )

    @contextmanager
    def _explained(self, key: str | None) -> Iterator[None]:
        """Errors as StepError; _Missing if there is no blob `key`."""
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - see TYPE_CHECKING

        try:
            yield
        except AccessRefused as refused:
            raise StepError(refused.message, is_retryable=refused.is_retryable) from None
        except AzureError as error:
            answer = answer_of(error)
            if key is not None and _is_missing_blob(answer):
                raise _Missing from None
            if key is not None and answer.status == _REPLACED:
                raise _replaced(key) from None
            why = blob_refused(answer, AskedBlob(account=self._location.account, container=self._location.container, name=key))
            raise StepError(why.message, is_retryable=why.is_retryable) from None

    def _nothing(self, month: date, listed: _Listed) -> str:
        prefix = period_prefix(self._location, month)
        if listed.others:
            return (
                f"There is no manifest among the {listed.others:,} blobs below {prefix}: the export is still running, or it is of a kind "
                "without manifests. Make it anew under Cost Management > Exports."
            )
        return (
            f"Nothing has been exported to {prefix} in container {self._location.container}. For a month before the export was made choose "
            "Export selected dates under Cost Management > Exports."
        )


class _Missing(Exception):
    """There is no such blob."""


def _published_to(known: KnownExport | None, month: date) -> date | None:
    """The last day of the month that the published export can have covered, if it is no longer there to be asked."""
    days = [day for day in known.days if day.replace(day=1) == month] if known else []
    return min(max(days), known.exported_at.date()) if known and days else None


def _is_missing_blob(answer: AzureAnswer) -> bool:
    return answer.status == _MISSING and answer.code not in {"ContainerNotFound", "AccountNotFound"}


def _replaced(key: str) -> StepError:
    return StepError(f"{key} was replaced while it was read. Run it again when the export has finished.", is_retryable=True)


def _etag(blob: "BlobProperties") -> str:
    """Lists have ETags without quotes, single blobs with them."""
    return str(blob.etag).strip('"')


def _manifest(one: AzureManifest, month: date, notes: tuple[str, ...]) -> Manifest:
    exported: datetime = one.submitted_at
    return Manifest(
        month=month,
        key=one.listed.key,
        etag=one.listed.etag,
        id=one.run_id,
        exported_at=exported,
        focus_version=one.version if one.dataset is Dataset.FOCUS else None,
        files=one.files,
        row_count=one.row_count,
        delivered_at=one.listed.modified_at,
        notes=notes,
    )
