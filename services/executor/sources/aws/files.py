"""An export of a tenant in S3; `sources.files.manifest.BillingFiles`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date
from typing import IO, Any, Final

from services.clouds.access import AccessRefused, TenantAccess
from services.clouds.aws.location import S3Location
from services.clouds.aws.refusals import AwsAction, AwsRequest, code_of
from services.clouds.aws.session import AwsSession, explained
from services.executor.errors import StepError
from services.executor.ledger.exports import KnownExport
from services.executor.sources.aws.layouts import (
    ListedObject,
    ManifestLayout,
    folder_of,
    is_unchanged,
    layout_of,
    manifests_prefix,
    newest_manifest,
)
from services.executor.sources.aws.manifests import ManifestObject, parse_manifest
from services.executor.sources.files.limits import below
from services.executor.sources.files.manifest import DataFile, Dataset, Fetched, Manifest, NoExport
from services.executor.sources.source import CheckCancelled, Unchanged

CHUNK: Final = 2**20
MAX_RESUMED: Final = 3
"""How often a download that breaks off is taken up again where it ended."""
MAX_PAGES: Final = 10
"""Of a thousand keys, of one month's manifests or files."""
_FOCUS_LAYOUTS: Final = (ManifestLayout.LOWER_PARTITIONS, ManifestLayout.PARTITIONS)
_CUR_LAYOUTS: Final = (ManifestLayout.PARTITIONS, ManifestLayout.LOWER_PARTITIONS, ManifestLayout.RANGES)
"""The likeliest first."""
_MISSING: Final = frozenset({"NoSuchKey", "404", "NotFound"})


class S3Files:
    """See BillingFiles. `dataset`: FOCUS, or CUR for either kind of Cost and Usage Report: which one, the first manifest shows."""

    def __init__(self, access: TenantAccess, location: S3Location, dataset: Dataset, *, max_manifest_bytes: int) -> None:
        """Without I/O. Raises AccessRefused if the stored credentials cannot be used."""
        self._session = AwsSession(access, location)
        self._location = location
        self._dataset = dataset
        self._most = max_manifest_bytes
        self._layouts: Sequence[ManifestLayout] = _FOCUS_LAYOUTS if dataset is Dataset.FOCUS else _CUR_LAYOUTS

    @property
    def source_id(self) -> str:
        """AWS/bucket/prefix/name."""
        return f"AWS/{self._location.bucket}/{self._location.path}"

    def manifest(self, month: date, known: KnownExport | None, check_cancelled: CheckCancelled) -> Manifest | Unchanged | NoExport:
        """One request if the month is unchanged: a listing of its manifests, which has their ETags and when they were written. Otherwise
        also the manifest, and a listing of its files, which has their sizes. All months of an export have one layout, so that others are
        not looked at once it is known.
        """
        if known and (layout := layout_of(known.manifest_key, self._location, month)):
            self._layouts = (layout,)
        for layout in self._layouts:
            check_cancelled()
            found = self._changed(month, layout, known, check_cancelled)
            if found is None:
                continue
            self._layouts = (layout,)
            if isinstance(found, Unchanged):
                return found
            dataset = self._dataset_of(layout)
            if (manifest := parse_manifest(found, self._location, month, dataset, most=self._most)) is None:
                return NoExport(reason=f"The manifest of {month:%Y-%m} lists no data file yet.")
            return replace(manifest, files=self._sized(manifest.files, check_cancelled))
        return NoExport(reason=f"AWS has not delivered {self._location} for {month:%Y-%m} yet: a new export takes up to 24 hours.")

    def is_current(self, manifest: Manifest) -> bool:
        """One HEAD."""
        with self._asking(AwsAction.READ, manifest.key):
            try:
                answer = self._session.s3.head_object(Bucket=self._location.bucket, Key=manifest.key)
            except Exception as error:
                if code_of(error) in _MISSING:
                    return False
                raise
        # Also when it was written: the same bytes again may be of new files.
        return bool(answer["ETag"] == manifest.etag) and answer["LastModified"].astimezone(UTC) <= manifest.exported_at

    def fetch(self, file: DataFile, into: IO[bytes], most: int, check_cancelled: CheckCancelled) -> Fetched:
        """One GET, whose headers say version and size before a byte is read; if it breaks off, further ones for the rest of that
        version.
        """
        below(self._location.path, file.key)
        with self._asking(AwsAction.READ, file.key):
            try:
                answer = self._session.s3.get_object(Bucket=self._location.bucket, Key=file.key)
            except Exception as error:
                if code_of(error) in _MISSING:
                    raise _missing(file) from None
                raise
            size = int(answer["ContentLength"])
            try:
                _check_size(file, size)
                _check_limit(file, size, most)
                self._download(file, answer, into, check_cancelled)
            finally:
                answer["Body"].close()
        return Fetched(size=size, modified_at=answer["LastModified"].astimezone(UTC))

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    def _changed(
        self, month: date, layout: ManifestLayout, known: KnownExport | None, check_cancelled: CheckCancelled
    ) -> ManifestObject | Unchanged | None:
        newest = newest_manifest(self._listed(manifests_prefix(self._location, month, layout), check_cancelled), self._location)
        if newest is None:
            return None
        if known and is_unchanged(newest, known, self._location):
            return Unchanged(as_of=known.exported_at)
        return self._manifest_object(newest.key)

    def _listed(self, prefix: str, check_cancelled: CheckCancelled) -> Iterator[ListedObject]:
        token: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            with self._asking(AwsAction.LIST, self._location.folder):
                page = self._session.s3.list_objects_v2(Bucket=self._location.bucket, Prefix=prefix, **token)
            for one in page.get("Contents", ()):
                yield ListedObject(key=one["Key"], etag=one["ETag"], modified_at=one["LastModified"], size=one["Size"])
            if not page.get("IsTruncated"):
                return
            check_cancelled()
            token = {"ContinuationToken": page["NextContinuationToken"]}
        raise StepError(f"There are more than {MAX_PAGES * 1000} objects below {prefix}. Add a lifecycle rule that removes old ones.")

    def _sized(self, files: Sequence[DataFile], check_cancelled: CheckCancelled) -> tuple[DataFile, ...]:
        """The files with their sizes. Raises StepError if one is missing, or of another size than its manifest says."""
        missing, sizes = {file.key for file in files}, dict[str, int]()
        for one in self._listed(folder_of([file.key for file in files]), check_cancelled):
            if one.key in missing:
                sizes[one.key] = one.size
                missing.remove(one.key)
                if not missing:
                    break
        for file in files:
            if file.key in missing:
                raise _missing(file)
            _check_size(file, sizes[file.key])
        return tuple(replace(file, size=sizes[file.key]) for file in files)

    def _manifest_object(self, key: str) -> ManifestObject | None:
        with self._asking(AwsAction.READ, key):
            try:
                answer = self._session.s3.get_object(Bucket=self._location.bucket, Key=key)
            except Exception as error:
                if code_of(error) in _MISSING:
                    return None
                raise
            try:
                body = answer["Body"].read(self._most + 1)
            finally:
                answer["Body"].close()
        return ManifestObject(key=key, etag=answer["ETag"], modified_at=answer["LastModified"].astimezone(UTC), body=body)

    def _download(self, file: DataFile, answer: Any, into: IO[bytes], check_cancelled: CheckCancelled) -> None:
        from botocore.exceptions import HTTPClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError  # noqa: PLC0415

        size, done, resumed = int(answer["ContentLength"]), 0, 0
        body = answer["Body"]
        while True:
            try:
                while chunk := body.read(CHUNK):
                    check_cancelled()
                    into.write(chunk)
                    done += len(chunk)
                return
            except (HTTPClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError):
                body.close()
                if resumed == MAX_RESUMED or done >= size:
                    raise
            resumed += 1
            body = self._session.s3.get_object(Bucket=self._location.bucket, Key=file.key, IfMatch=answer["ETag"], Range=f"bytes={done}-")[
                "Body"
            ]

    def _dataset_of(self, layout: ManifestLayout) -> Dataset:
        if self._dataset is Dataset.FOCUS:
            return Dataset.FOCUS
        return Dataset.CUR if layout is ManifestLayout.RANGES else Dataset.CUR2

    @contextmanager
    def _asking(self, action: AwsAction, key: str) -> Iterator[None]:
        """Refusals become StepError."""
        asked = AwsRequest(action=action, bucket=self._location.bucket, key=key, region=self._session.credentials.region)
        try:
            with explained(asked):
                yield
        except AccessRefused as refused:
            raise StepError(refused.message, is_retryable=refused.is_retryable) from None


def _check_size(file: DataFile, size: int) -> None:
    if file.size is not None and file.size != size:
        raise StepError(
            f"{file.key} has {size} bytes, and {file.size} when it was listed: it is being rewritten. Run it again in some minutes.",
            is_retryable=True,
        )


def _check_limit(file: DataFile, size: int, most: int) -> None:
    if size > most:
        raise StepError(f"{file.key} has {size} bytes; {most} are read at most. Export in Parquet, or ask the operator for a higher limit.")


def _missing(file: DataFile) -> StepError:
    return StepError(
        f"The manifest lists {file.key}, which is not in the bucket. Nothing was published. Run it again after AWS's next delivery.",
        is_retryable=True,
    )
