"""What `make bench-neighbours` calls fair."""

from collections import defaultdict

import pytest

from benchmarks.neighbours.good import KEYLESS, QUOTA, RUN, Measured
from benchmarks.neighbours.report import Phase, is_fair, quantile, report
from benchmarks.neighbours.usage import PROCESSES, Usage
from localcloud.settings import SERVICES


def phase(name: str, seconds: float, *, ticks: int = 1, failures: int = 0) -> Phase:
    measured = Measured(
        seconds=defaultdict(list, {what: [seconds] * 10 for what in (KEYLESS, QUOTA, RUN)}), failures=["503"] * failures, ticks=[ticks]
    )
    usage = Usage(cores=dict.fromkeys(PROCESSES, 0.1), jobs=10, lag=dict.fromkeys(SERVICES, 0.01))
    return Phase(name=name, measured=measured, usage=usage, seconds=60)


ALONE = phase("alone", 1)


@pytest.mark.parametrize(
    ("beside", "fair"),
    [
        (phase("beside", 3, ticks=2), True),
        (phase("beside", 3.1), False),
        (phase("beside", 1, ticks=3), False),
        (phase("beside", 1, failures=1), False),
    ],
)
def test_fair_is_three_times_at_most_within_the_bound_and_without_a_failure(beside: Phase, fair: bool) -> None:
    assert is_fair([ALONE, beside, ALONE]) is fair


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert [quantile([3, 1, 2], percent) for percent in (1, 50, 99)] == [1, 2, 3]
    assert quantile(range(1, 201), 99) == 198


def test_the_report_has_the_ratio() -> None:
    line = next(line for line in report([ALONE, phase("beside", 2), ALONE], {}).splitlines() if line.startswith(f"| {QUOTA}"))
    assert line == "| a quota call | 20 | 10 | 1.000 | 2.000 | 2.0 | 1.000 | 2.000 | 2.0 |"
