"""`python -m benchmarks.exports`: a month of a million rows of an AWS FOCUS export through aws/cost/focus, compared with a bare script that
only moves the rows: S3 client -> Arrow -> Parquet -> load job.

Each side runs in a process of its own. Both read the same files from one emulator of S3, and load into one emulator of BigQuery, one after
the other.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.focus_files import write
from localcloud.aws.account import ADMIN, admin_client
from localcloud.processes.environment import emulator_environment
from localcloud.settings import LocalSettings
from localcloud.stack import Stack
from services.platform.settings import REPOSITORY

MONTH = datetime(2026, 10, 1, tzinfo=UTC)
BUCKET, EXPORT = "bench-bills", "exports/focus"
ROWS = 1_000_000


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exports", description="A large month of exported files.")
    parser.add_argument("--rows", type=int, default=ROWS, help="of the month (%(default)s)")
    parser.add_argument("--files", type=int, default=4, help="that the manifest lists (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="each side's best one counts (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("EXPORTS.md"), help="the report (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="convergence-bench-") as folder:
        settings = LocalSettings.on_free_ports(Path(folder) / "state", cache_dir=REPOSITORY / ".cache")
        with Stack(settings, only=("bigquery", "aws"), report=print) as stack:
            host = emulator_environment(settings)
            given = {
                "project": settings.project,
                "bigquery_emulator_host": host["BIGQUERY_EMULATOR_HOST"],
                "aws_emulator_host": stack.env["AWS_EMULATOR_HOST"],
                "access_key_id": ADMIN.access_key_id,
                "secret_access_key": ADMIN.secret_access_key,
                "export": f"s3://{BUCKET}/{EXPORT}",
                "month": f"{MONTH:%Y-%m}",
            }
            size = deliver(given["aws_emulator_host"], Path(folder) / "files", rows=options.rows, files=options.files)
            rounds = [(_side("exports_bare", given), _side("exports_suite", given)) for _ in range(options.rounds)]
    bare = min((bare for bare, _ in rounds), key=lambda one: float(one["seconds"]))
    suite = min((suite for _, suite in rounds), key=lambda one: float(one["seconds"]))
    text = report(options.rows, options.files, size, bare, suite)
    options.output.write_text(text)
    print(text)


def deliver(endpoint: str, folder: Path, *, rows: int, files: int) -> int:
    """Writes the month as AWS delivers it: data first, the manifest last. Returns the data's bytes."""
    s3, size, uris = admin_client("s3", endpoint), 0, list[str]()
    s3.create_bucket(Bucket=BUCKET)
    for path in write("aws", folder, rows=rows, files=files, month=MONTH):
        key = f"{EXPORT}/data/BILLING_PERIOD={MONTH:%Y-%m}/{path.name}"
        with path.open("rb") as body:
            s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        size += path.stat().st_size
        uris.append(f"s3://{BUCKET}/{key}")
        path.unlink()
    manifest = json.dumps({"executionId": "bench", "columns": [{"name": "BilledCost"}], "dataFiles": uris})
    s3.put_object(Bucket=BUCKET, Key=f"{EXPORT}/metadata/BILLING_PERIOD={MONTH:%Y-%m}/focus-Manifest.json", Body=manifest)
    return size


def report(rows: int, files: int, size: int, bare: Mapping[str, Any], suite: Mapping[str, Any]) -> str:
    """The comparison, as Markdown."""
    steps = "\n".join(
        f"| ... of it {name} | {rows / seconds:,.0f} | {bare['seconds'] / seconds:.2f} | | |" for name, seconds in suite["steps"].items()
    )
    return f"""# A month of {rows:,} exported rows

One run of aws/cost/focus over {files} Snappy Parquet files of 61 columns ({size / 2**20:,.0f} MB), against a bare script that does the same
S3 -> Arrow -> Parquet -> load job and nothing else: no other process that decodes, no conforming, no sums, no checks, no publishing. Same
emulators, same files, one after the other, each in its own process.

| what | rows a second | times the bare script's | peak memory, MB | with the processes it starts, MB |
|---|--:|--:|--:|--:|
| bare script: read, Parquet, load | {rows / bare["seconds"]:,.0f} | 1 | {bare["peak_mb"]:,.0f} | {bare["peak_with_children_mb"]:,.0f} |
| aws/cost/focus, whole run | {rows / suite["seconds"]:,.0f} | {bare["seconds"] / suite["seconds"]:.2f} | {suite["peak_mb"]:,.0f} \
| {suite["peak_with_children_mb"]:,.0f} |
{steps}

Rows and sum of BilledCost published: {suite["published"]}.

Again: `make bench-exports`.
"""


def _side(name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """What a side has measured: its last line."""
    answer = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", json.dumps(given)], check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    print(f"{name}: {measured}", flush=True)
    return measured


if __name__ == "__main__":
    main()
