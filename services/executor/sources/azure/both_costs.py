"""Azure's actual and amortized cost, two exports that are loaded as one."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import IO, Final

from services.executor.errors import StepError
from services.executor.ledger.exports import KnownExport
from services.executor.sources.files.manifest import BillingFiles, DataFile, Dataset, Fetched, Manifest, NoExport
from services.executor.sources.source import CheckCancelled, Unchanged

BETWEEN: Final = " | "
"""Between what the two manifests say."""


class BothCosts:
    """Two exports of the same cost, actual and amortized. A version of a period is one of each; its names are both. See BillingFiles."""

    def __init__(self, actual: BillingFiles, amortized: BillingFiles) -> None:
        self._by_dataset = {Dataset.ACTUAL: actual, Dataset.AMORTIZED: amortized}
        self._delivered: dict[str, datetime] = {}

    @property
    def source_id(self) -> str:
        """The actual export's: amortized cost that is added later replaces what was published without."""
        return self._by_dataset[Dataset.ACTUAL].source_id

    def manifest(self, month: date, known: KnownExport | None, check_cancelled: CheckCancelled) -> Manifest | Unchanged | NoExport:
        """Unchanged if both are: one request each."""
        found = [files.manifest(month, part, check_cancelled) for files, part in zip(self._by_dataset.values(), _parts(known), strict=True)]
        unchanged = [one for one in found if isinstance(one, Unchanged)]
        if known and len(unchanged) == len(found):
            return Unchanged(as_of=known.exported_at, notes=tuple(note for one in unchanged for note in one.notes))
        whole = list[Manifest]()
        for files, one in zip(self._by_dataset.values(), found, strict=True):
            both = files.manifest(month, None, check_cancelled) if isinstance(one, Unchanged) else one
            if isinstance(both, NoExport):
                return NoExport(reason=f"{files.source_id.removeprefix('AZURE/')}: {both.reason}")
            if isinstance(both, Unchanged):
                raise TypeError("nothing was known")
            whole.append(both)
        return self._joined(whole)

    def is_current(self, manifest: Manifest) -> bool:
        """True if both are."""
        parts = zip(self._by_dataset.values(), manifest.key.split(BETWEEN), manifest.etag.split(BETWEEN), strict=True)
        return all(files.is_current(replace(manifest, key=key, etag=etag)) for files, key, etag in parts)

    def fetch(self, file: DataFile, into: IO[bytes], most: int, check_cancelled: CheckCancelled) -> Fetched:
        """From the export of the file's dataset. Raises StepError also if the file is younger than its own export's manifest."""
        fetched = self._by_dataset[file.dataset].fetch(file, into, most, check_cancelled)
        delivered = self._delivered.get(file.key)
        if delivered and fetched.modified_at > delivered:
            raise StepError(
                f"{file.key} is younger than its manifest: the export is being rewritten. Run it again when it has finished.",
                is_retryable=True,
            )
        return fetched

    def close(self) -> None:
        """Closes both."""
        for files in self._by_dataset.values():
            files.close()

    def _joined(self, parts: list[Manifest]) -> Manifest:
        counts = [part.row_count for part in parts]
        self._delivered |= {file.key: part.delivered_at for part in parts for file in part.files if part.delivered_at}
        return Manifest(
            month=parts[0].month,
            key=BETWEEN.join(part.key for part in parts),
            etag=BETWEEN.join(part.etag for part in parts),
            id=BETWEEN.join(part.id for part in parts),
            exported_at=max(part.exported_at for part in parts),
            focus_version=None,
            files=tuple(file for part in parts for file in part.files),
            row_count=None if None in counts else sum(count for count in counts if count is not None),
            delivered_at=None,  # each part has its own: see fetch
            notes=tuple(note for part in parts for note in part.notes),
        )


def _parts(known: KnownExport | None) -> tuple[KnownExport | None, KnownExport | None]:
    """What is known of each. When each was exported is not: the later of both times is kept."""
    if known is None:
        return None, None
    keys, etags = known.manifest_key.split(BETWEEN), known.manifest_etag.split(BETWEEN)
    if len(keys) != len(etags) or len(keys) != len((Dataset.ACTUAL, Dataset.AMORTIZED)):
        return None, None  # so far without amortized cost
    first, second = (
        replace(known, manifest_key=key, manifest_etag=etag, exported_at=datetime.min.replace(tzinfo=UTC))
        for key, etag in zip(keys, etags, strict=True)
    )
    return first, second
