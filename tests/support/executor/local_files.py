"""An export in a local folder, as `BillingFiles`: a folder a month, with a manifest and data files. What a cloud does to an export while it
is read, a test does by a hook.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from services.executor.errors import StepError
from services.executor.ledger.exports import KnownExport
from services.executor.sources.files.limits import below, name_of, read_manifest_json
from services.executor.sources.files.manifest import DataFile, Dataset, Fetched, Manifest, NoExport
from services.executor.sources.source import CheckCancelled, Unchanged

MANIFEST = "manifest.json"


class LocalFiles:
    """The months under `folder`."""

    def __init__(self, folder: Path, source_id: str = "AWS/bucket/prefix/name") -> None:
        self.folder, self._source_id = folder, source_id
        self.before_fetch: Callable[[str], None] = lambda _: None
        self.requests = list[str]()
        self.is_closed = False

    @property
    def source_id(self) -> str:
        return self._source_id

    def manifest(self, month: date, known: KnownExport | None, check_cancelled: CheckCancelled) -> Manifest | Unchanged | NoExport:
        self.requests.append(f"manifest {month:%Y-%m}")
        path = self.folder / f"{month:%Y-%m}" / MANIFEST
        if not path.exists():
            return NoExport(reason=f"There is no export of {month:%B %Y}.")
        etag = hashlib.sha256(path.read_bytes()).hexdigest()
        if known and known.manifest_etag == etag:
            return Unchanged(as_of=known.exported_at)
        found = read_manifest_json(path.read_bytes(), MANIFEST, most=2**20)
        prefix = f"{month:%Y-%m}"
        return Manifest(
            month=month,
            key=f"{prefix}/{MANIFEST}",
            etag=etag,
            id=found["id"],
            exported_at=datetime.fromisoformat(found["exported_at"]),
            focus_version=found.get("focus_version"),
            files=tuple(
                DataFile(key=below(prefix, one["key"]), dataset=Dataset(one["dataset"]), size=one.get("size")) for one in found["files"]
            ),
            row_count=found.get("row_count"),
            delivered_at=datetime.fromtimestamp(path.stat().st_mtime, UTC),
        )

    def is_current(self, manifest: Manifest) -> bool:
        self.requests.append("is_current")
        return hashlib.sha256((self.folder / manifest.key).read_bytes()).hexdigest() == manifest.etag

    def fetch(self, file: DataFile, into: IO[bytes], most: int, check_cancelled: CheckCancelled) -> Fetched:
        self.requests.append(f"fetch {name_of(file.key)}")
        self.before_fetch(name_of(file.key))
        path = self.folder / file.key
        if not path.exists():
            raise StepError(f"The manifest lists {name_of(file.key)}, which is not there.")
        data = path.read_bytes()
        if file.size not in {None, len(data)}:
            raise StepError(f"{name_of(file.key)} has {len(data)} bytes, but the manifest says {file.size}.", is_retryable=True)
        if len(data) > most:
            raise StepError(f"{name_of(file.key)} has more than {most} bytes.")
        into.write(data)
        return Fetched(size=len(data), modified_at=datetime.fromtimestamp(path.stat().st_mtime, UTC))

    def close(self) -> None:
        self.is_closed = True


def deliver(
    folder: Path,
    month: date,
    contents: Mapping[str, pa.Table | bytes],
    *,
    dataset: Dataset = Dataset.FOCUS,
    exported_at: datetime = datetime(2026, 10, 15, 6, tzinfo=UTC),
    **said: Any,
) -> Path:
    """Writes a month: tables as Parquet, bytes as they are, and a manifest that lists them all. `said`: more, or
    other, of the manifest. The path of the manifest.
    """
    place = folder / f"{month:%Y-%m}"
    place.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        if isinstance(content, bytes):
            (place / name).write_bytes(content)
        else:
            pq.write_table(content, place / name, compression="snappy")
    listed = [{"key": f"{month:%Y-%m}/{name}", "dataset": dataset, "size": (place / name).stat().st_size} for name in contents]
    manifest = {"id": f"run-{exported_at:%Y%m%d%H}", "exported_at": exported_at.isoformat(), "focus_version": "1.2", "files": listed} | said
    path = place / MANIFEST
    path.write_text(json.dumps(manifest))
    return path
