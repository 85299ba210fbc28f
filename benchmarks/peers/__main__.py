"""`python -m benchmarks.peers`: a run alone, ours and the neighbours', into a section of `benchmarks/RESULTS.md`."""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.peers.systems import System, are_installed, dagster, export, prefect, seen_finished
from benchmarks.report import measured_by
from benchmarks.runs.alone import polled
from benchmarks.runs.report import spread
from benchmarks.sample_tenants import POLL_SECONDS, ROWS_A_DAY, SampleTenant, full_days, load_export, new_tenants
from benchmarks.sections import write_section
from benchmarks.whole_stack import whole_stack

DEFAULT: Final = Path(__file__).parents[1] / "RESULTS.md"
REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")
EXTRA: Final = {"CONVERGENCE_STREAM_AFTER_SECONDS": "0"}
INTRODUCTION: Final = """\
## Beside what a user would pick instead

Seconds from the call over the API until the run is seen finished by polling every 100 ms, median [least - most]; in turn, in one run of
the program. The others do the same data work in plain DuckDB ({rows} rows of a day are read, checked and published), without BigQuery,
tenants, quota, sealed credentials, gateway, mTLS or authentication, and with SQLite, their default; ours also derives FOCUS, on the
emulator. {versions}.

| system | runs | answer | seen finished | ours / its |
|---|--:|--:|--:|--:|
"""


def main() -> None:
    """The command. Exits with 1 if they are not installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="A run alone, ours and the neighbours'.")
    parser.add_argument("--runs", type=int, default=5, help="of each (%(default)s)")
    parser.add_argument("--output", type=Path, default=DEFAULT, help="the report (%(default)s)")
    options = parser.parse_args()
    if not are_installed():
        sys.exit("The neighbours are not installed: `make bench-peers` does it.")
    found = dict[str, list[tuple[float, float]]]()
    with tempfile.TemporaryDirectory(prefix="convergence-bench-") as folder, ExitStack() as stack:
        state = Path(folder)
        whole = stack.enter_context(whole_stack(state, extra=EXTRA))
        [day] = full_days(load_export(whole), 1)
        [ours] = new_tenants(whole, ["ours"])
        environment = stack.enter_context(export(state, [str(day)]))
        systems: dict[str, System] = {
            "Prefect server + `serve`, poll 1 s": stack.enter_context(prefect(state, environment, poll_seconds=1.0)),
            "Dagster, DefaultRunCoordinator + in_process_executor": stack.enter_context(dagster(state, environment)),
        }
        _warm(ours, list(systems.values()), str(day))
        for _ in range(options.runs):
            alone = polled(ours, str(day))
            found.setdefault("Convergence", []).append((alone.answered, alone.seen))
            for name, system in systems.items():
                found.setdefault(name, []).append(seen_finished(system, str(day), every=POLL_SECONDS))
            print({name: runs[-1] for name, runs in found.items()}, flush=True)
    text = _table(found)
    print(text)
    write_section(options.output, "peers", text + "\n" + measured_by("make bench-peers"))
    print(f"written to {options.output}")


def _warm(ours: SampleTenant, systems: Sequence[System], day: str) -> None:
    """The first run of each makes what later ones find."""
    polled(ours, day)
    for system in systems:
        seen_finished(system, day, every=POLL_SECONDS)


def _table(found: dict[str, list[tuple[float, float]]]) -> str:
    own = statistics.median(seen for _, seen in found["Convergence"])
    versions = ", ".join(line.strip() for line in REQUIREMENTS.read_text().splitlines() if "==" in line)
    lines = [
        f"| {name} | {len(runs)} | {spread([answer for answer, _ in runs])} | {spread([seen for _, seen in runs])}"
        f" | {own / statistics.median(seen for _, seen in runs):.2f} |"
        for name, runs in found.items()
    ]
    return INTRODUCTION.format(rows=ROWS_A_DAY, versions=versions.replace("==", " ")) + "\n".join(lines)


if __name__ == "__main__":
    main()
