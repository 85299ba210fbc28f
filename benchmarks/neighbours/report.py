"""The numbers as Markdown, and whether they are fair."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.neighbours.good import BARE, KEYLESS, NO_TICK, QUOTA, RUN, TICK, WORK, Measured
from benchmarks.neighbours.usage import PROCESSES, Usage
from localcloud.settings import SERVICES

MOST: Final = 3.0
"""Times a p99 alone."""
TICKS: Final = 2
"""Calls of process-queue that take one run each: among runs of equal counted priority, one of each other tenant goes first."""
HELD: Final = (KEYLESS, QUOTA, RUN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """One of the three."""

    name: str
    """alone or beside"""
    measured: Measured
    usage: Usage
    seconds: float


def quantile(seconds: Sequence[float], percent: int) -> float:
    """The nearest rank: of fewer than a hundred values the 99th percent is the greatest. Infinite without any."""
    ordered = sorted(seconds)
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else float("inf")


def _both(phases: Sequence[Phase], what: str) -> tuple[list[float], list[float]]:
    alone = [took for phase in phases if phase.name == "alone" for took in phase.measured.seconds[what]]
    return alone, [took for phase in phases if phase.name == "beside" for took in phase.measured.seconds[what]]


def is_fair(phases: Sequence[Phase]) -> bool:
    """Whether the good tenant got what it must: nothing failed, three times at most, and its runs claimed within the bound."""
    ratios = [quantile(beside, 99) / quantile(alone, 99) for alone, beside in (_both(phases, what) for what in HELD)]
    failed = [failure for phase in phases for failure in phase.measured.failures]
    ticks = [number for phase in phases for number in phase.measured.ticks]
    return not failed and all(ratio <= MOST for ratio in ratios) and bool(ticks) and max(ticks) <= TICKS


def report(phases: Sequence[Phase], got: Mapping[str, int]) -> str:
    """The whole page."""
    lines = [
        "| seconds | calls alone | beside | p50 alone | beside | ratio | p99 alone | beside | ratio |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(_line(what, *_both(phases, what)) for what in (*HELD, WORK, TICK, NO_TICK, BARE)),
    ]
    took = ["| phase | jobs a second | " + " | ".join(PROCESSES) + " | event loops late by at most, ms |", "|---|--:|" + "--:|" * 7]
    for phase in phases:
        lag = ", ".join(f"{name} {phase.usage.lag[name] * 1000:.0f}" for name in SERVICES)
        cores = " | ".join(f"{phase.usage.cores[name]:.2f}" for name in PROCESSES)
        took.append(f"| {phase.name} | {phase.usage.jobs / phase.seconds:.1f} | {cores} | {lag} |")
    ticks = "; ".join(f"{phase.name} {sorted(phase.measured.ticks)}" for phase in phases)
    failed = [f"{phase.name}: {failure}" for phase in phases for failure in (*phase.measured.failures, *phase.measured.claims)]
    answers = "\n".join(f"- {what}: {number:,}" for what, number in got.items())
    return f"""# A tenant beside one that takes all it can get

One tenant has 10,000 schedules that are due and 1,000 queued runs, all of priority 100, put in with SQL. It lists its schedules in a
loop, starts 24 runs at once and opens 200 watchers; a bad key is tried 20 times a second; all from one address. Another tenant is measured
alone, beside it, and alone again, in one run of real processes on one machine. p99 of fewer than 100 calls is the slowest. The first three
must stay within {MOST:g} times. The last one is answered by the emulator alone, not by the suite: by so much the machine itself is slower.

{chr(10).join(lines)}

Calls of process-queue, which takes one run each, up to the claim of the good tenant's scheduled run (at most {TICKS} by
`docs/schedules.md`): {ticks}.

Cores that each process took, on a machine that has two for all of them and for the load:

{chr(10).join(took)}

What the greedy tenant and the bad key got:

{answers}

Good calls that failed: {len(failed)}. {" ".join(failed[:5])}

Again: `make bench-neighbours`.
"""


def _line(what: str, alone: Sequence[float], beside: Sequence[float]) -> str:
    cells = [f"{len(alone)} | {len(beside)}"]
    for value in (statistics.median, lambda seconds: quantile(seconds, 99)):
        if not alone or not beside:
            cells.append(" | ".join(f"{value(seconds):.3f}" if seconds else "" for seconds in (alone, beside)) + " | ")
            continue
        before, after = value(alone), value(beside)
        cells.append(f"{before:.3f} | {after:.3f} | {after / before:.1f}")
    return f"| {what} | {' | '.join(cells)} |"
