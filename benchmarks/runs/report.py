"""The section as Markdown."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.runs.alone import Alone
from benchmarks.runs.burst import Burst
from benchmarks.runs.callers import Calls
from benchmarks.runs.processes import Use

INTRODUCTION = """\
## Runs end to end, on the emulator

The whole suite as real processes, one of each service, and the caller on the same machine; {rows} rows a day. Seconds from the call of
RunPipeline of gcp/cost/billing with FOCUS: median [least - most].
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What was measured."""

    alone: Mapping[str, Sequence[Alone]]
    """By how the end was seen."""
    bursts: Sequence[Burst]
    calls: Sequence[Calls]
    idle: Mapping[str, Use]
    idle_seconds: float


def section(found: Found, *, rows: int) -> str:
    """The whole section."""
    return "\n".join(
        [
            INTRODUCTION.format(rows=rows),
            "| a run alone | runs | answer | seen finished | end by its own clock |",
            "|---|--:|--:|--:|--:|",
            *(_alone(name, runs) for name, runs in found.alone.items()),
            "",
            "| runs at once | last answer | first done | all done | CPU s of all processes a run |",
            "|--:|--:|--:|--:|--:|",
            *(f"| {b.runs} | {b.answered:.1f} | {b.first_done:.1f} | {b.all_done:.1f} | {b.cpu_a_run:.2f} |" for b in found.bursts),
            "",
            "| call, over REST | callers | calls a second | p50 ms | p99 ms | failed |",
            "|---|--:|--:|--:|--:|--:|",
            *(f"| {c.name} | {c.at_once} | {c.a_second:,.0f} | {c.p50:.1f} | {c.p99:.1f} | {c.failed} |" for c in found.calls),
            "",
            f"Idle for {found.idle_seconds:g} s, after all that:",
            "",
            "| process | CPU, % of a core | memory (PSS), MiB |",
            "|---|--:|--:|",
            *(f"| {name} | {use.cores * 100:.1f} | {use.pss_mib:.0f} |" for name, use in found.idle.items()),
            f"| all | {sum(u.cores for u in found.idle.values()) * 100:.1f} | {sum(u.pss_mib for u in found.idle.values()):.0f} |",
        ]
    )


def _alone(name: str, runs: Sequence[Alone]) -> str:
    columns = ([run.answered for run in runs], [run.seen for run in runs], [run.by_its_own_clock for run in runs])
    return f"| {name} | {len(runs)} | {' | '.join(map(spread, columns))} |"


def spread(seconds: Sequence[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(seconds):.2f} [{min(seconds):.2f} - {max(seconds):.2f}]"
