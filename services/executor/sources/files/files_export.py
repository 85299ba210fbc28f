"""The billing periods that a run reads, each with all files of its manifest and no others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import IO, Any

import pyarrow as pa

from services.executor.errors import StepError
from services.executor.ledger.days import DayRead
from services.executor.ledger.exports import KnownExport
from services.executor.metering.meter import Reading, StepMeter
from services.executor.records import Period
from services.executor.settings import ExecutorSettings
from services.executor.sources.exported_months import end_of
from services.executor.sources.files.decode.decoder import Decoder
from services.executor.sources.files.limits import ExportLimits, name_of
from services.executor.sources.files.manifest import BillingFiles, DataFile, Dataset, Manifest
from services.executor.sources.files.period_totals import PeriodTotals, total_of
from services.executor.sources.files.rows.focus_rows import FileRows, focus_rows
from services.executor.sources.files.rows.focus_versions import version_of
from services.executor.sources.files.rows.native_rows import native_rows
from services.executor.sources.source import CheckCancelled, Estimate
from services.executor.sources.spool import temporary, writing
from services.platform.bigquery.prices import TIB


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenFiles:
    """A tenant's export, opened for one run, and what reading it takes."""

    provider: str
    files: BillingFiles
    decoder: Decoder
    settings: ExecutorSettings
    meter: StepMeter

    @property
    def limits(self) -> ExportLimits:
        """From the settings."""
        return ExportLimits.of(self.settings)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplacedExport:
    """A former export of the same account."""

    source_id: str
    days: Mapping[date, tuple[date, ...]]
    """The UTC days on which it has published rows, by billing period."""


@dataclass(slots=True)
class ExportedPeriod:
    """One billing period that is read."""

    manifest: Manifest
    known: KnownExport | None
    totals: PeriodTotals
    focus_version: str | None
    replaced_days: tuple[date, ...] = ()
    """Days with rows of a former export, which go."""

    @property
    def covered(self) -> Period:
        """The days of the month that the export covers."""
        month, exported = self.manifest.month, self.manifest.exported_at.date()
        return Period(first=month, last=min(end_of(month), max(exported, month)))

    @property
    def days(self) -> list[date]:
        """The days that the period replaces: all of the month that the export covers, and others that have rows or had some."""
        known = self.known.days if self.known else ()
        return sorted({*self.covered.days, *self.totals.days, *known, *self.replaced_days})

    @property
    def size(self) -> int:
        """Bytes of the files, as far as they are known before they are read."""
        return sum(file.size or 0 for file in self.manifest.files)


class FilesExport:
    """The periods that a run reads; `sources.source.Export`."""

    def __init__(
        self,
        opened: OpenFiles,
        manifests: Sequence[tuple[Manifest, KnownExport | None]],
        notes: Sequence[str],
        *,
        replaced: ReplacedExport | None = None,
        unreadable: Sequence[str] = (),
    ) -> None:
        """`manifests`: each with what is published of its period. `notes`: sentences about periods that are not read. `replaced`: a former
        export, whose rows of these periods are deleted. `unreadable`: sentences about periods that should be read and cannot be read.
        """
        self._opened, self._notes, self._replaced, self._unreadable = opened, list(notes), replaced, list(unreadable)
        self._periods = [
            ExportedPeriod(
                manifest=manifest,
                known=known,
                totals=PeriodTotals(),
                focus_version=manifest.focus_version,
                replaced_days=replaced.days.get(manifest.month, ()) if replaced else (),
            )
            for manifest, known in manifests
        ]

    @property
    def period(self) -> Period:
        """All days of the periods. Rows may be of days outside the month: complete once all has been read."""
        return Period.of(day for one in self._periods for day in one.days)

    @property
    def origin(self) -> Mapping[str, Any]:
        """The manifests, and why other periods are not read."""
        periods = [
            {
                "billing_period": one.manifest.month.isoformat(),
                "manifest_key": one.manifest.key,
                "manifest_id": one.manifest.id,
                "exported_at": one.manifest.exported_at.isoformat(),
                "files": len(one.manifest.files),
                "bytes": one.totals.byte_count or one.size,
            }
            for one in self._periods
        ]
        said = {"notes": self._notes, "unreadable": self._unreadable}
        return {"source_id": self._opened.files.source_id, "periods": periods, **{name: those for name, those in said.items() if those}}

    def estimate(self) -> Estimate:
        """Estimated from the sizes of the files; an unknown size counts as 0."""
        size = sum(one.size for one in self._periods)
        return Estimate(
            bytes_read=size,
            staged_bytes=size,
            rows=sum(one.manifest.row_count or 0 for one in self._periods),
            cost_usd=size / TIB * self._opened.settings.files_usd_per_tib,
        )

    def read(self, staged: pa.Schema, check_cancelled: CheckCancelled) -> Iterator[pa.Table]:
        """All rows, file by file. The first file is fetched once all of them have been allowed."""
        opened = self._opened
        reading = opened.meter.allow(sum(one.size for one in self._periods), usd_per_tib=opened.settings.files_usd_per_tib)
        opened.decoder.start()  # while the first file arrives
        reading.begin()
        for period in self._periods:
            for file in period.manifest.files:
                yield from self._read_file(period, file, staged, reading, check_cancelled)
            self._check_whole(period)

    def outputs(self) -> Mapping[str, object]:
        """Counts and sums of the rows read, by billing period; what was read of each day."""
        return {
            "source_rows": sum(one.totals.row_count for one in self._periods),
            "replaced_sources": [self._replaced.source_id] if self._replaced else [],
            "day_reads": [asdict(one) for one in self._day_reads()],
            "exports": [self._exported(one) for one in self._periods],
            "export_days": [{"billing_period": one.manifest.month, "day": day} for one in self._periods for day in sorted(one.totals.days)],
            "source_sums": [
                {
                    "billing_period": one.manifest.month,
                    "currency": currency,
                    "row_count": total.row_count,
                    "billed_cost": total_of(total.billed),
                    "effective_cost": total_of(total.effective),
                }
                for one in self._periods
                for currency, total in one.totals.currencies.items()
            ],
        }

    def _read_file(
        self, period: ExportedPeriod, file: DataFile, staged: pa.Schema, reading: Reading, check_cancelled: CheckCancelled
    ) -> Iterator[pa.Table]:
        check_cancelled()
        name, convert = name_of(file.key), focus_rows if file.dataset is Dataset.FOCUS else native_rows
        origin = FileRows(
            provider=self._opened.provider,
            source_id=self._opened.files.source_id,
            month=period.manifest.month,
            manifest_id=period.manifest.id,
            dataset=file.dataset.value,
            version=period.manifest.focus_version,
            file=name,
        )
        with temporary(self._opened.settings.spool_dir) as spooled:
            reading.receive(self._fetch(period, file, spooled, check_cancelled))
            rows = self._opened.limits.rows - period.totals.row_count
            for batch in self._opened.decoder.batches(spooled, name, rows=rows, check_cancelled=check_cancelled):
                check_cancelled()
                if period.focus_version is None and file.dataset is Dataset.FOCUS:
                    period.focus_version = version_of(batch.schema.names)
                table = convert(batch, staged, origin)
                period.totals.add(file.dataset, batch, table, name)
                self._opened.limits.check_decoded(period.manifest, period.totals.decoded_bytes)
                yield table

    def _fetch(self, period: ExportedPeriod, file: DataFile, into: IO[bytes], check_cancelled: CheckCancelled) -> int:
        """Downloads a file; its bytes."""
        limits, totals, manifest = self._opened.limits, period.totals, period.manifest
        most = min(limits.file_bytes, limits.period_bytes - totals.byte_count)
        with writing():  # a cloud's errors are StepErrors
            fetched = self._opened.files.fetch(file, into, most, check_cancelled)
            into.flush()
        totals.byte_count += fetched.size
        limits.check_file(file, fetched.size)
        limits.check_period(manifest, totals.byte_count)
        if manifest.delivered_at and fetched.modified_at > manifest.delivered_at:
            raise StepError(
                f"{name_of(file.key)} was written after the manifest that lists it: the cloud is rewriting {manifest.month:%B %Y}. Nothing"
                " is published of it. Run it again when the export has ended.",
                is_retryable=True,
            )
        return fetched.size

    def _check_whole(self, period: ExportedPeriod) -> None:
        manifest, rows = period.manifest, period.totals.row_count
        if not self._opened.files.is_current(manifest):
            raise StepError(
                f"The export of {manifest.month:%B %Y} was written anew while it was read. Nothing is published of it. Run it"
                " again when the export has ended.",
                is_retryable=True,
            )
        if manifest.row_count is not None and rows != manifest.row_count:
            raise StepError(
                f"The files of {manifest.month:%B %Y} have {rows:,} rows, but the manifest says {manifest.row_count:,}. Nothing is"
                " published of it. Run it again; if it stays so, export the month anew.",
                is_retryable=True,
            )

    def _day_reads(self) -> Iterator[DayRead]:
        exported, covered = dict[date, Any](), set[date]()
        for one in self._periods:
            covered.update(one.covered.days)
            for day in one.days:
                exported[day] = max(one.manifest.exported_at, exported.get(day, one.manifest.exported_at))
        for day, exported_at in sorted(exported.items()):
            yield DayRead(
                day=day,
                since=None,
                source_table=self._opened.files.source_id,
                source_created_at=None,
                exported_to=exported_at,
                # A day of another month has only what this one's bill says of it.
                is_followed=day in covered,
            )

    def _exported(self, one: ExportedPeriod) -> Mapping[str, object]:
        manifest = one.manifest
        return {
            "source_id": self._opened.files.source_id,
            "billing_period": manifest.month,
            "dataset": "+".join(sorted({file.dataset.value for file in manifest.files})) or None,  # without files
            "focus_version": one.focus_version,
            "manifest_key": manifest.key,
            "manifest_etag": manifest.etag,
            "manifest_id": manifest.id,
            "exported_at": manifest.exported_at,
            "seen_version": one.known.version if one.known else 0,
            "row_count": one.totals.row_count,
            "file_count": len(manifest.files),
            "byte_count": one.totals.byte_count,
        }
