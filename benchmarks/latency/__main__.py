"""`python -m benchmarks.latency`: follows runs through the whole suite, into a section of `benchmarks/RESULTS.md`."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.latency.path import sequential
from benchmarks.latency.suite import Flow, followed_suite
from benchmarks.latency.table import Followed, table
from benchmarks.latency.times import AS_BIGQUERY, NAMED, SCRIPTS_AS_BIGQUERY, Times
from benchmarks.report import measured_by
from benchmarks.sample_tenants import ROWS_A_DAY
from benchmarks.sections import write_section

DEFAULT = Path(__file__).parents[1] / "RESULTS.md"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description="The critical path of a run.")
    parser.add_argument("--flow", action="append", choices=[flow.name.lower() for flow in Flow], help="may be given again (default: all)")
    parser.add_argument(
        "--all-scripts", action="store_true", help="charge each statement of a script in all flows, not in the warm one alone"
    )
    parser.add_argument("--only-as-bigquery", action="store_true", help="leave out the emulator as it is, and statements of scripts")
    parser.add_argument("--output", type=Path, default=DEFAULT, help="the report (%(default)s)")
    options = parser.parse_args()
    flows = [flow for flow in Flow if not options.flow or flow.name.lower() in options.flow]
    runs = list[Followed]()
    with tempfile.TemporaryDirectory(prefix="convergence-bench-") as state, followed_suite(Path(state)) as suite:
        for flow in flows:
            for name, times in NAMED:
                if _is_wanted(flow, times, all_scripts=options.all_scripts, only=options.only_as_bigquery):
                    found = suite.follow(flow, times)
                    runs.append(Followed(flow=flow, times=name, walked=found))
                    print(_line(runs[-1]), flush=True)
                    write_section(options.output, "path", table(runs, rows=ROWS_A_DAY) + "\n" + measured_by("make bench-path"))
    print(f"written to {options.output}")


def _line(run: Followed) -> str:
    found = run.walked
    answer, end = found.answered - found.called, found.ended - found.called
    before, after = (", ".join(one.ask.name for one in sequential(part)) for part in (found.before, found.after))
    return f"{run.flow}, {run.times}: answer {answer:.2f} s ({before}), COMPLETED {end:.2f} s ({after})"


def _is_wanted(flow: Flow, times: Times, *, all_scripts: bool, only: bool) -> bool:
    if only:
        return times == AS_BIGQUERY
    return times != SCRIPTS_AS_BIGQUERY or all_scripts or flow is Flow.WARM


if __name__ == "__main__":
    main()
