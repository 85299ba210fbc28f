"""What an export consists of: for each billing period a manifest, and the data files that it lists. `BillingFiles` is the interface of an
export in a cloud.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import IO, Protocol

from services.executor.ledger.exports import KnownExport
from services.executor.sources.source import CheckCancelled, Unchanged


class Dataset(StrEnum):
    """What an export's rows are."""

    FOCUS = "FOCUS"
    CUR = "CUR"
    """AWS Cost and Usage Report, legacy: columns like lineItem/UsageAccountId."""
    CUR2 = "CUR2"
    """AWS Cost and Usage Report 2.0, of Data Exports: columns like line_item_usage_account_id."""
    ACTUAL = "ACTUAL"
    """Azure actual cost."""
    AMORTIZED = "AMORTIZED"
    """Azure amortized cost."""


class FileFormat(StrEnum):
    """The format of a data file. Whether a CSV file is compressed its first bytes say."""

    PARQUET = "PARQUET"
    CSV = "CSV"


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFile:
    """One file that a manifest lists."""

    key: str
    """The object's name. It lies below the export's own prefix: another name in a manifest is refused."""
    dataset: Dataset
    size: int | None = None
    """Bytes, as the manifest or a listing says; None: neither does."""
    format: FileFormat | None = None
    """None: the first bytes decide."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """One version of one billing period."""

    month: date
    """The period's first day."""
    key: str
    """The manifest's own name."""
    etag: str
    """Its version, opaque."""
    id: str
    """The version's name for people and for x_ManifestId."""
    exported_at: datetime
    """When the cloud wrote it (UTC): of two versions the later one is right."""
    focus_version: str | None
    """As the export has it, e.g. 1.2-preview; None: unknown, or another dataset."""
    files: tuple[DataFile, ...]
    row_count: int | None = None
    """Rows of all files, as the manifest says; None: it does not."""
    delivered_at: datetime | None = None
    """When the manifest object was last written; a data file that is younger is being rewritten. None: files are never rewritten."""
    notes: tuple[str, ...] = ()
    """Sentences for the tenant, e.g. about a newer manifest that was passed over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A data file that was downloaded."""

    size: int
    """Bytes."""
    modified_at: datetime
    """When the object was last written (UTC)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoExport:
    """There is no export of the period (yet)."""

    reason: str
    """For the tenant: a sentence."""


class BillingFiles(Protocol):
    """One export of a tenant, opened with the tenant's own access for one run. Its calls block, and raise StepError, worded for the tenant,
    and what `check_cancelled` raises.
    """

    @property
    def source_id(self) -> str:
        """Provider and location, e.g. AWS/bucket/prefix/name: rows of the same source replace each other."""
        ...

    def manifest(self, month: date, known: KnownExport | None, check_cancelled: CheckCancelled) -> Manifest | Unchanged | NoExport:
        """The newest version of a period: Unchanged if it is the one that is `known`, which takes one request. Raises StepError also for a
        manifest that cannot be used.
        """
        ...

    def is_current(self, manifest: Manifest) -> bool:
        """True if the manifest has not been replaced since. One request."""
        ...

    def fetch(self, file: DataFile, into: IO[bytes], most: int, check_cancelled: CheckCancelled) -> Fetched:
        """Writes the file's bytes, all of one version. Raises StepError if it is missing, if it changes meanwhile (retryable), if its size
        is not what the manifest says, and for more than `most` bytes, before they are downloaded if the cloud says the size.
        """
        ...

    def close(self) -> None:
        """Closes the connections."""
        ...
