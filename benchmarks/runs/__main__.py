"""`python -m benchmarks.runs`: runs end to end in the whole suite, into a section of `benchmarks/RESULTS.md`."""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.report import measured_by
from benchmarks.runs.alone import Alone, polled, unseen, watched
from benchmarks.runs.burst import PROCESSES, burst
from benchmarks.runs.callers import AT_ONCE, calls
from benchmarks.runs.processes import Use, idle_use
from benchmarks.runs.report import Found, section
from benchmarks.sample_tenants import ROWS_A_DAY, full_days, load_export, new_tenants
from benchmarks.sections import write_section
from benchmarks.whole_stack import WholeStack, whole_stack
from localcloud.processes.suite import make_process

DEFAULT: Final = Path(__file__).parents[1] / "RESULTS.md"
TENANTS: Final = 5
DAYS: Final = 4
EXTRA: Final = {"CONVERGENCE_STREAM_AFTER_SECONDS": "0", "CONVERGENCE_DML_STATEMENTS_PER_10_SECONDS": "10000"}
"""Tables are made just before, and streamed to as older ones are. The emulator has no limit of statements to keep to."""
SETTLE_SECONDS: Final = 10.0
"""After the last call, until what was gathered is written."""
MODES: Final = {"polled every 100 ms": polled, "by `:watch`": watched, "not looked at": unseen}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runs", description="Runs end to end, on the emulator.")
    parser.add_argument("--alone", type=int, default=5, help="runs of each kind alone (%(default)s)")
    parser.add_argument("--bursts", type=int, default=1, help=f"times {TENANTS * DAYS} runs at once (%(default)s)")
    parser.add_argument("--call-seconds", type=float, default=4.0, help="of each number of callers (%(default)s)")
    parser.add_argument("--idle-seconds", type=float, default=15.0, help="(%(default)s)")
    parser.add_argument("--output", type=Path, default=DEFAULT, help="the report (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="convergence-bench-") as state, whole_stack(Path(state), extra=EXTRA) as whole:
        found = _measure(whole, options)
    text = section(found, rows=ROWS_A_DAY)
    print(text)
    write_section(options.output, "runs", text + "\n" + measured_by("make bench-runs"))
    print(f"written to {options.output}")


def _measure(whole: WholeStack, options: argparse.Namespace) -> Found:
    sample = load_export(whole)
    tenants = new_tenants(whole, [f"tenant_{number}" for number in range(TENANTS)])
    days = full_days(sample, DAYS)
    # The first run of a tenant makes its tables.
    for run in [(tenant, tenant.start(date=str(days[0]))) for tenant in tenants]:
        run[0].finished_unseen(run[1])
    alone = dict[str, list[Alone]]()
    for _ in range(options.alone):
        for name, mode in MODES.items():
            alone.setdefault(name, []).append(mode(tenants[0], str(days[-1])))
            print(f"alone, {name}: {alone[name][-1]}", flush=True)
    bursts = [burst(whole, tenants, days) for _ in range(options.bursts)]
    print(bursts, flush=True)
    made = calls(tenants[0], AT_ONCE, options.call_seconds) if options.call_seconds else []
    return Found(alone=alone, bursts=bursts, calls=made, idle=_idle(whole, options.idle_seconds), idle_seconds=options.idle_seconds)


def _idle(whole: WholeStack, seconds: float) -> dict[str, Use]:
    """With the jobs of Cloud Scheduler, as `make up` has them. What supervises the processes is part of this program, and not counted."""
    stack = whole.stack
    stack.add(make_process(stack.settings, "cloud_scheduler", admin_key=stack.env["ADMIN_API_KEY"]))
    time.sleep(SETTLE_SECONDS)
    return idle_use({name: stack.pid(name) for name in (*PROCESSES, "cloud_scheduler")}, seconds)


if __name__ == "__main__":
    main()
