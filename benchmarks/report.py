"""The report: results, environment, and how to repeat the measurement."""

import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from os import cpu_count, sysconf
from pathlib import Path

from benchmarks.counts import Row
from benchmarks.floor import Floor

PACKAGES = ("duckdb", "google-cloud-bigquery", "grpcio", "local-bigquery", "protobuf", "pyarrow")
REPOSITORY = Path(__file__).resolve().parents[1]
PREFACE = """\
Times are ratios to one bare statement of the same run, on the emulator. DML and reads are statements on each shared table, divided by
"at once". "Sent again" counts statements repeated after a transient error; they are in the jobs too. Counts are the services' own metrics.

"Scheduled runs" go from the trigger to their end, with a stub for the executor that reserves and settles in a real ledger and does nothing
else; the reads of the queue's status that detect the end are counted as well. The stub polls faster (1 s) than production does (5 s).

"The whole suite" are real processes behind Envoy, two of them auth, with five calls a tenant and mixed limits; the scheduled runs are
started by a real executor, and how long they take on two cores decides how many of them share a statement."""
HEADER = (
    "| what | at once | jobs | sent again | DML an operation | read an operation | time / bare UPDATE | an operation | time / bare SELECT |"
)


def report(rows: Sequence[Row], floor: Floor) -> str:
    """The whole report as Markdown."""
    lines = [
        "# What it costs",
        "",
        PREFACE,
        "",
        f"Floor: a guarded UPDATE of one row {floor.update * 1000:.1f} ms, a SELECT 1 of a table {floor.select * 1000:.1f} ms.",
        "",
        HEADER,
        "|---|--:|--:|--:|---|---|--:|--:|--:|",
        *(_line(row, floor) for row in rows),
        "",
        "Again: `make bench`, or a part of it: `.venv/bin/python -m benchmarks --only trigger --sizes 1,10,100 --output /tmp/results.md`.",
        "",
        *machine(),
    ]
    return "\n".join(lines) + "\n"


def measured_by(command: str) -> str:
    """The end of a section: how to measure it again, and what it was measured on."""
    return "\n".join(["", f"Again: `{command}`.", "", *machine()])


def machine() -> list[str]:
    """The environment of the measurement, as a list."""
    ram = sysconf("SC_PAGE_SIZE") * sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return [
        f"- Machine: {_cpu()}, {cpu_count()} cores, {ram:.1f} GiB RAM, {platform.system()} {platform.release()}",
        f"- Python {platform.python_version()}; {packages}",
        f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}",
    ]


def _line(row: Row, floor: Floor) -> str:
    ratio = row.seconds / floor.update
    cells = (
        row.name,
        f"{row.at_once:,}",
        row.jobs,
        row.again,
        _statements(row, "dml"),
        _statements(row, "read"),
        f"{ratio:.1f}",
        f"{ratio / row.at_once:.3g}",
        f"{row.seconds / floor.select:.1f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def _statements(row: Row, kind: str) -> str:
    found = sorted((table, count) for (table, its_kind), count in row.statements.items() if its_kind == kind)
    return ", ".join(f"{table} {count / row.at_once:.3g}" for table, count in found)


def _cpu() -> str:
    models = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
