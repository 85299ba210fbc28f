"""How fast a run reads exported files, against a bare script on the same files: `python -m benchmarks.files_rate aws --rows 1000000`.

A run: download (here: copy), decode in the child process, conform, fill, count and sum, and spool as one Parquet file. The script: Arrow
reads the files and writes their columns as they are into one Parquet file of the same compression; it checks nothing.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO

import pyarrow.parquet as pq

from services.executor.ledger.exports import KnownExport
from services.executor.metering.meter import StepMeter
from services.executor.settings import ExecutorSettings
from services.executor.sources.exported_months import ExportsRequest
from services.executor.sources.files.files_source import FilesSource
from services.executor.sources.files.manifest import DataFile, Dataset, Fetched, Manifest, NoExport
from services.executor.sources.source import CheckCancelled, ReadRequest, Unchanged
from services.executor.sources.spool import SpoolRoom, spool
from services.executor.staging.shape import StagingShape
from services.platform.bigquery.ddl import read_table
from services.platform.settings import REPOSITORY

MONTH = date(2026, 10, 1)
NOW = datetime(2026, 10, 31, 12, tzinfo=UTC)
STAGING = "x_staging_focus_export"


class FolderFiles:
    """The Parquet files in a folder, as the export of a month."""

    source_id = "BENCHMARK/folder"

    def __init__(self, folder: Path) -> None:
        self._paths = {path.name: path for path in sorted(folder.glob("*.parquet"))}

    def manifest(self, month: date, known: KnownExport | None, check_cancelled: CheckCancelled) -> Manifest | Unchanged | NoExport:
        """All files."""
        files = tuple(DataFile(key=name, dataset=Dataset.FOCUS, size=path.stat().st_size) for name, path in self._paths.items())
        return Manifest(month=month, key="manifest.json", etag="1", id="1", exported_at=NOW, focus_version="1.2", files=files)

    def is_current(self, manifest: Manifest) -> bool:
        """It is."""
        return True

    def fetch(self, file: DataFile, into: IO[bytes], most: int, check_cancelled: CheckCancelled) -> Fetched:
        """Copies a file."""
        with self._paths[file.key].open("rb") as source:
            shutil.copyfileobj(source, into, 2**20)
        return Fetched(size=into.tell(), modified_at=NOW)

    def close(self) -> None:
        """Nothing is open."""


def read_as_a_run(folder: Path, spool_dir: Path, provider: str) -> int:
    """The rows of the export, read as a run does."""
    staged = StagingShape.of(read_table((REPOSITORY / f"configs/bigquery/staging/{STAGING}.sql").read_text(), STAGING)).arrow
    source = FilesSource(FolderFiles(folder), provider, ExecutorSettings(spool_dir=spool_dir), StepMeter())
    exports = ExportsRequest(month=MONTH, known={}, now=NOW, history_months=1)
    try:
        export = source.find(ReadRequest(parameters={}, period=None, exports=exports), lambda: None)
        if isinstance(export, Unchanged):
            raise TypeError("the month was asked for")
        with spool(export.read(staged, lambda: None), staged, room=SpoolRoom(spool_dir), tenant_id="a") as spooled:
            return spooled.rows
    finally:
        source.close()


def read_as_a_script(folder: Path, spool_dir: Path) -> int:
    """The rows of the files, copied column by column."""
    rows, paths = 0, sorted(folder.glob("*.parquet"))
    with pq.ParquetWriter(spool_dir / "script.parquet", pq.read_schema(paths[0]), compression="zstd") as writer:
        for path in paths:
            for batch in pq.ParquetFile(path).iter_batches(batch_size=20_000, use_threads=False):
                writer.write_batch(batch, row_group_size=batch.num_rows)
                rows += batch.num_rows
    return rows


def main() -> None:
    """Prints both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cloud", choices=["aws", "azure"])
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    os.environ.setdefault("GOOGLE_CLOUD_PROJECT", "benchmark")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = folder / "files"
        # In a process of its own: its memory is not to be counted.
        subprocess.run([sys.executable, "-m", "benchmarks.focus_files", options.cloud, files, "--rows", str(options.rows)], check=True)
        begun, cpu = time.perf_counter(), time.process_time()
        rows = read_as_a_run(files, folder / "spool", options.cloud.upper())
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"a run: {rows / seconds:,.0f} rows/s, {cpu:.1f} s CPU beside the child's, at most {memory:,.0f} MB")
        begun, cpu = time.perf_counter(), time.process_time()
        rows = read_as_a_script(files, folder)
        print(f"a script: {rows / (time.perf_counter() - begun):,.0f} rows/s, {time.process_time() - cpu:.1f} s CPU")


if __name__ == "__main__":
    main()
