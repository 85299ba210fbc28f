"""What `benchmarks/runs` reads and writes."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.runs.alone import Alone, events
from benchmarks.runs.burst import Burst
from benchmarks.runs.callers import Calls
from benchmarks.runs.processes import Use, cpu_seconds, idle_use
from benchmarks.runs.report import Found, section

BUSY = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"


def test_events_are_read_from_a_stream_as_they_come() -> None:
    lines = iter(["id: 1", 'data: {"event": "RUN"}', "", ":", 'data: {"event": "STEP"}'])
    read = events(lines)
    assert next(read) == {"event": "RUN"}
    assert next(lines) == ""
    assert list(read) == [{"event": "STEP"}]


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing, with a child that takes a core."""
    with subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True) as process:
        yield process
        os.killpg(process.pid, 9)


def test_a_process_takes_what_its_children_take(busy: subprocess.Popen[bytes]) -> None:
    """However busy the machine is, the child gets some of it."""
    while cpu_seconds(busy.pid) < 0.2:
        os.sched_yield()
    [use] = idle_use({"busy": busy.pid}, 0.2).values()
    assert use.pss_mib > 1
    assert cpu_seconds(busy.pid) >= 0.2
    assert cpu_seconds(2**22 + 1) == 0, "no such process"


def test_the_section_has_a_line_for_each_measurement() -> None:
    alone = [Alone(answered=0.5, seen=3.0, by_its_own_clock=2.0), Alone(answered=0.7, seen=4.0, by_its_own_clock=2.5)]
    text = section(
        Found(
            alone={"polled": alone},
            bursts=[Burst(runs=20, answered=4.0, first_done=6.0, all_done=40.0, cpu_a_run=3.4)],
            calls=[Calls(name="GetQuota", at_once=16, a_second=8.4, p50=1800.0, p99=2400.0, failed=1)],
            idle={"auth": Use(cores=0.01, pss_mib=80.0), "gateway": Use(cores=0.02, pss_mib=75.0)},
            idle_seconds=15.0,
        ),
        rows=200,
    )
    for line in (
        "| polled | 2 | 0.60 [0.50 - 0.70] | 3.50 [3.00 - 4.00] | 2.25 [2.00 - 2.50] |",
        "| 20 | 4.0 | 6.0 | 40.0 | 3.40 |",
        "| GetQuota | 16 | 8 | 1800.0 | 2400.0 | 1 |",
        "| all | 3.0 | 155 |",
    ):
        assert line in text.splitlines()
