"""A tenant's export of billing files as a source: which periods a run reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from services.executor.errors import StepError
from services.executor.ledger.exports import KnownExport
from services.executor.metering.meter import StepMeter
from services.executor.settings import ExecutorSettings
from services.executor.sources.exported_months import MOST_MONTHS, ExportsRequest
from services.executor.sources.files.decode.bounds import Bounds
from services.executor.sources.files.decode.decoder import Decoder
from services.executor.sources.files.files_export import FilesExport, OpenFiles, ReplacedExport
from services.executor.sources.files.limits import ExportLimits
from services.executor.sources.files.manifest import BillingFiles, Manifest, NoExport
from services.executor.sources.source import CheckCancelled, Export, ReadRequest, Unchanged

REPLACES: Final = "replaces"
"""The parameter that names a former export of the same account, whose rows of the loaded months go; may be absent."""


def bounds_of(settings: ExecutorSettings) -> Bounds:
    """What a data file may be."""
    return Bounds(
        rows=settings.files_max_rows,
        columns=settings.files_max_columns,
        cell_bytes=settings.files_max_cell_bytes,
        row_group_bytes=settings.files_max_row_group_bytes,
        inflation=settings.files_max_inflation,
        growth=settings.files_max_growth,
        memory_bytes=settings.files_decoder_memory_bytes,
        cpu_seconds=settings.files_decoder_cpu_seconds,
    )


@dataclass(slots=True)
class LookedAt:
    """What the months of a run are found to have."""

    found: list[tuple[Manifest, KnownExport | None]] = field(default_factory=list)
    """To be loaded, with what is published of them."""
    notes: list[str] = field(default_factory=list)
    missing: list[NoExport] = field(default_factory=list)
    broken: list[StepError] = field(default_factory=list)
    """Why months cannot be read."""
    unreadable: list[str] = field(default_factory=list)
    """The same in sentences, with the months."""


class FilesSource:
    """One export in a cloud; `sources.source.Source`."""

    def __init__(self, files: BillingFiles, provider: str, settings: ExecutorSettings, meter: StepMeter) -> None:
        """`provider`: AWS or AZURE. No I/O. `files` is closed with the source."""
        self._opened = OpenFiles(
            provider=provider,
            files=files,
            decoder=Decoder(bounds_of(settings), silence_seconds=settings.files_decoder_silence_seconds),
            settings=settings,
            meter=meter,
        )

    def find(self, request: ReadRequest, check_cancelled: CheckCancelled) -> Export | Unchanged:
        """The month that was asked for, or the open months that have changed: the oldest first, at most MOST_MONTHS. Raises StepError also
        if the month that was asked for is older in the cloud than what is published.

        An open month that cannot be read does not keep the others from being loaded. The export names it, and a run that finds nothing else
        fails.
        """
        if request.exports is None:
            raise TypeError("the template is run for months")
        exports, seen = request.exports, LookedAt()
        for month in exports.months(self._opened.files.source_id):
            if len(seen.found) == MOST_MONTHS:
                break
            check_cancelled()
            try:
                self._look(exports, month, seen, check_cancelled)
            except StepError as error:
                if exports.month:
                    raise
                seen.broken.append(error)
                seen.unreadable.append(f"{month:%B %Y}: {error.message}")
        replaced = self._replaced(request)
        if seen.found:
            return FilesExport(self._opened, seen.found, seen.notes, replaced=replaced, unreadable=seen.unreadable)
        if seen.broken:
            raise seen.broken[0]
        return self._nothing(exports, seen.missing, seen.notes)

    def _look(self, exports: ExportsRequest, month: date, seen: "LookedAt", check_cancelled: CheckCancelled) -> None:
        files = self._opened.files
        known = exports.known_of(files.source_id, month)
        answer = files.manifest(month, None if exports.month else known, check_cancelled)
        if isinstance(answer, NoExport):
            seen.missing.append(answer)
            seen.notes += [answer.reason] if known else []  # what was published stays
            return
        seen.notes += answer.notes
        if isinstance(answer, Unchanged):
            return
        if known and answer.exported_at < known.exported_at:
            seen.notes.append(_is_older(answer, known))
            if exports.month:
                raise StepError(" ".join(seen.notes))
            return
        ExportLimits.of(self._opened.settings).check(answer)
        seen.found.append((answer, known))

    def close(self) -> None:
        """Ends the process that decodes, and closes the connections."""
        try:
            self._opened.decoder.close()
        finally:
            self._opened.files.close()

    def _replaced(self, request: ReadRequest) -> ReplacedExport | None:
        """The export that this one takes the place of, if the run names one. Raises StepError if it is this very one."""
        named = request.parameters.get(REPLACES)
        if not named or request.exports is None:
            return None
        # As both clouds write the id of a source: see BillingFiles.source_id.
        source_id = f"{self._opened.provider}/{str(named).removeprefix('s3://').rstrip('/')}"
        if source_id == self._opened.files.source_id:
            raise StepError(f"`{REPLACES}` names the export itself. Name the former export, whose months this one replaces.")
        days = {month: known.days for (source, month), known in request.exports.known.items() if source == source_id}
        return ReplacedExport(source_id=source_id, days=days)

    def _nothing(self, exports: ExportsRequest, missing: Sequence[NoExport], notes: Sequence[str]) -> Unchanged:
        if missing and exports.month:
            raise StepError(missing[0].reason)
        published = [known.exported_at for (source_id, _), known in exports.known.items() if source_id == self._opened.files.source_id]
        if missing and not published:
            raise StepError(
                f"{missing[-1].reason} Check the location of the export, and that it has been delivered: the first delivery may take a day."
            )
        return Unchanged(as_of=max(published, default=None), notes=tuple(notes))


def _is_older(manifest: Manifest, known: KnownExport) -> str:
    return (
        f"The manifest of {manifest.month:%B %Y} is of {manifest.exported_at.isoformat()}; what is published is of"
        f" {known.exported_at.isoformat()} and stays. Export the month anew to replace it."
    )
