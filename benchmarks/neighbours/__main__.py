"""`make bench-neighbours`: alone, beside the greedy tenant, alone again; see `benchmarks/NEIGHBOURS.md`.

Exits with 1 if a p99 beside it is more than `MOST` times that alone, or a scheduled run was claimed later than docs/schedules.md says.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.crowd import new_crowd, settle_in
from benchmarks.neighbours.good import Good, Measured, seconds_to_next_step
from benchmarks.neighbours.report import Phase, is_fair, report
from benchmarks.neighbours.rows import add_greed, remove_greed
from benchmarks.neighbours.usage import Reading, usage
from benchmarks.whole_stack import WholeStack, whole_stack
from services.scheduler.settings import AGEING_SECONDS

SECONDS = 60.0
SETTLING_SECONDS = 20.0
"""After which greed is at its height, or its runs have ended."""


def main() -> None:
    """Prints the report and writes it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each of the three phases")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "NEIGHBOURS.md")
    parser.add_argument("--state", type=Path, help="where the stack keeps its data and logs; else they are removed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, whole_stack(options.state or Path(folder)) as whole:
        phases, got = _phases(whole, options.seconds)
    text = report(phases, got)
    options.output.write_text(text)
    print(text)
    sys.exit(0 if is_fair(phases) else 1)


def _phases(whole: WholeStack, seconds: float) -> tuple[list[Phase], Mapping[str, int]]:
    greedy, good_one = new_crowd(2, plans=[({}, 0)])
    asyncio.run(settle_in([greedy, good_one], whole.settings))
    good = Good(whole=whole, member=good_one)
    good.measure(SETTLING_SECONDS / 2)  # caches and connections are warm then
    phases = [_phase(whole, "alone", good, seconds)]
    # Of runs that were queued before and after a boundary, those before it go first, and the bound is another one.
    if (left := seconds_to_next_step(AGEING_SECONDS)) < 2 * SETTLING_SECONDS + 2 * seconds:
        print(f"waits {left:.0f} s for the next half hour", file=sys.stderr, flush=True)
        time.sleep(left)
    asyncio.run(add_greed(greedy.tenant_id, whole.settings))
    with _greed(whole, greedy.tenant_id, greedy.api_key) as got:
        time.sleep(SETTLING_SECONDS / 4)
        phases.append(_phase(whole, "beside", good, seconds))
    asyncio.run(remove_greed(greedy.tenant_id, whole.settings))
    time.sleep(SETTLING_SECONDS)
    phases.append(_phase(whole, "alone", good, seconds))
    return phases, got


def _phase(whole: WholeStack, name: str, good: Good, seconds: float) -> Phase:
    before, began = Reading.of(whole), time.monotonic()
    measured: Measured = good.measure(seconds)
    phase = Phase(name=name, measured=measured, usage=usage(whole, before, took := time.monotonic() - began), seconds=took)
    print(f"{name}: {phase.usage}", file=sys.stderr, flush=True)
    return phase


@contextmanager
def _greed(whole: WholeStack, tenant_id: str, api_key: str) -> Iterator[dict[str, int]]:
    """The greedy process while the block runs; what it got is known after the block."""
    got = dict[str, int]()
    given = {"address": whole.local.address("gateway"), "tenant_id": tenant_id, "api_key": api_key}
    command = [sys.executable, "-m", "benchmarks.neighbours.greedy", json.dumps(given)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield got
    finally:
        answer, _ = process.communicate("", timeout=60)
        got |= json.loads(answer.splitlines()[-1]) if answer else {"it broke": 1}


if __name__ == "__main__":
    main()
