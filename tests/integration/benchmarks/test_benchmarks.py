"""The benchmarks, at their smallest."""

from pathlib import Path

from benchmarks.__main__ import measure
from localcloud.settings import LocalSettings


async def test_a_benchmark_writes_its_line_into_the_report(emulators: LocalSettings, tmp_path: Path) -> None:
    """One schedule is due: the trigger takes two jobs and changes each of its three tables once; with nothing due, one job and no DML."""
    output = tmp_path / "RESULTS.md"
    await measure(emulators, only=["trigger"], sizes=[1], output=output)
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in output.read_text().splitlines() if line.startswith("| trigger")
    ]
    due, none_due = lines
    assert due[:2] == ["trigger, all due", "1"]
    assert due[4] == "pipeline_execution_queue 1, scheduled_pipeline_runs 1, tenant_pipeline_configs 1"
    assert (int(due[2]) - int(due[3]), int(none_due[2]) - int(none_due[3]), none_due[4]) == (2, 1, "")
