"""`python -m benchmarks`: measures, and writes the report."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path

import structlog

from benchmarks import claim, end_to_end, ledger, run_pipeline, trigger, whole
from benchmarks.counts import Row
from benchmarks.floor import measure_floor
from benchmarks.place import Place, emulators, place_on
from benchmarks.report import report
from benchmarks.sections import sections_of, with_sections
from localcloud.settings import LocalSettings

BENCHMARKS: Mapping[str, tuple[Callable[[Place, int], AsyncIterator[Row]], tuple[int, ...]]] = {
    "ledger": (ledger.bench, ledger.SIZES),
    "trigger": (trigger.bench, trigger.SIZES),
    "claim": (claim.bench, claim.SIZES),
    "run_pipeline": (run_pipeline.bench, run_pipeline.SIZES),
    "end_to_end": (end_to_end.bench, end_to_end.SIZES),
    "whole": (whole.bench, whole.SIZES),
}


async def measure(local: LocalSettings, *, only: Collection[str], sizes: Collection[int] | None, output: Path) -> None:
    """Runs benchmarks on emulators that are up and writes the report. `sizes` None: each benchmark's own."""
    rows = list[Row]()
    kept = sections_of(output.read_text()) if output.exists() else {}
    async with place_on(local) as place:
        floor = await measure_floor(place)
        for name in only:
            bench, own = BENCHMARKS[name]
            for size in own if sizes is None else sizes:
                async for row in bench(place, size):
                    print(f"{row.name}, {size} at once: {row.seconds:.2f} s, {row.jobs} jobs", flush=True)
                    rows.append(row)
                    output.write_text(with_sections(report(rows, floor), kept))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What the suite costs, against a bare statement.")
    parser.add_argument("--only", action="append", choices=sorted(BENCHMARKS), help="a benchmark; may be given again (default: all)")
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], help="at once, e.g. 1,10,100")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("RESULTS.md"), help="the report (%(default)s)")
    options = parser.parse_args()
    # The services' own log would disturb what is measured.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with emulators() as local:
        asyncio.run(measure(local, only=options.only or list(BENCHMARKS), sizes=options.sizes, output=options.output))
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
