"""How large a tenant's export may be, and how its objects may be named. Pure. What a data file may contain is checked where it is decoded,
see `decode`.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self

from services.executor.errors import StepError
from services.executor.settings import ExecutorSettings
from services.executor.sources.files.manifest import DataFile, Manifest

MAX_DEPTH: Final = 32
"""Lists and objects within each other in a manifest: real ones have four."""
MAX_KEY: Final = 1024
"""Characters of an object's name; S3 and Azure allow no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportLimits:
    """The most that is read of one billing period."""

    file_bytes: int
    period_bytes: int
    decoded_bytes: int
    rows: int
    files: int

    @classmethod
    def of(cls, settings: ExecutorSettings) -> Self:
        """From the executor's settings."""
        return cls(
            file_bytes=settings.files_max_file_bytes,
            period_bytes=settings.files_max_period_bytes,
            decoded_bytes=settings.files_max_decoded_bytes,
            rows=settings.files_max_rows,
            files=settings.files_max_count,
        )

    def check(self, manifest: Manifest) -> None:
        """Checks what a manifest says, before any file is read. Raises StepError."""
        period = f"The export of {manifest.month:%B %Y}"
        if len(manifest.files) > self.files:
            raise StepError(f"{period} has {len(manifest.files):,} files; at most {self.files:,} are read of a period.")
        seen = set[str]()
        for file in manifest.files:
            if file.key in seen:
                raise StepError(f"{period} lists {name_of(file.key)} twice: its rows would be counted twice. Make the export anew.")
            seen.add(file.key)
            self.check_file(file, file.size or 0)
        self.check_period(manifest, sum(file.size or 0 for file in manifest.files))
        if (manifest.row_count or 0) > self.rows:
            raise StepError(f"{period} has {manifest.row_count:,} rows; at most {self.rows:,} are read of a period.")

    def check_file(self, file: DataFile, size: int) -> None:
        """Raises StepError for a file of `size` bytes that is too large."""
        if size > self.file_bytes:
            raise StepError(f"{name_of(file.key)} has {size:,} bytes; at most {self.file_bytes:,} are read of a file. {PARTITION}")

    def check_period(self, manifest: Manifest, size: int) -> None:
        """Raises StepError if `size` bytes are too much for all files of a period."""
        if size > self.period_bytes:
            raise StepError(
                f"The files of {manifest.month:%B %Y} have {size:,} bytes; at most {self.period_bytes:,} are read of a period. Export"
                " fewer columns or a coarser time granularity."
            )

    def check_decoded(self, manifest: Manifest, size: int) -> None:
        """Raises StepError if `size` bytes are too much for all rows of a period as they are staged."""
        if size > self.decoded_bytes:
            raise StepError(
                f"The rows of {manifest.month:%B %Y} take more than {self.decoded_bytes:,} bytes, decoded; so many are read of a period at"
                " most. Export fewer columns or a coarser time granularity, or ask the operator for a higher limit."
            )


PARTITION: Final = "Let the cloud partition the export into smaller files."


def name_of(key: str) -> str:
    """The last segment of an object's name, for messages: printable, not too long."""
    return _shown(key.rsplit("/", 1)[-1], most=200)


def _shown(text: str, most: int = 100) -> str:
    """The end of a text, which tells more than its beginning: printable, at most so many characters."""
    printable = "".join(character if character.isprintable() else "?" for character in text[-most - 1 :])
    return printable if len(printable) <= most else f"...{printable[3 - most :]}"


def below(prefix: str, key: str) -> str:
    """The key, if it lies below `prefix` (with or without a `/` at its end). A manifest is a tenant's file: whatever else it names is not
    fetched. Raises StepError.
    """
    root = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
    segments = key.removeprefix(root).split("/")
    is_plain = key.isprintable() and "\\" not in key and len(key) <= MAX_KEY
    if not (is_plain and key.startswith(root) and all(segment not in {"", ".", ".."} for segment in segments)):
        raise StepError(
            f"The manifest lists {_shown(key)!r}, which does not lie below the export's own location, {_shown(root)!r}. It is not read."
            " Check who may write there, and export the month anew."
        )
    return key


def read_manifest_json(data: bytes, name: str, *, most: int) -> dict[str, Any]:
    """The JSON object in a manifest called `name`, at most `most` bytes. Raises StepError."""
    if len(data) > most:
        raise StepError(f"The manifest {name} has {len(data):,} bytes; at most {most:,} are read.")
    try:
        text = data.decode("utf-8-sig")
        found = json.loads(text) if _depth(text) <= MAX_DEPTH else None
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        found = None
    if isinstance(found, dict):
        if "\\u" in text and not _is_unicode(found):
            raise StepError(f"The manifest {name} has text that is not valid Unicode (half of a surrogate pair). Export the month anew.")
        return found
    raise StepError(f"The manifest {name} is no JSON object, or is nested too deeply. Check that the location is that of a cost export.")


def _is_unicode(found: dict[str, Any]) -> bool:
    """False for text that cannot be stored: JSON may escape half of a surrogate pair."""
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _depth(text: str) -> int:
    """The greatest depth of brackets; those in strings count, too, but a manifest has few of them."""
    depth = deepest = 0
    for bracket in _brackets(text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _brackets(text: str) -> Iterable[str]:
    return (character for character in text if character in "[]{}")
