"""What the processes of a stack took during a phase: CPU, statements, and how late their event loops were."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.counts import Row, fill
from benchmarks.whole_stack import WholeStack
from localcloud.settings import SERVICES

PROCESSES: Final = ("bigquery", "gateway", *SERVICES)
LAG: Final = "convergence_event_loop_lag_max_seconds"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Counters at one moment."""

    cpu: dict[str, float]
    """Seconds of CPU by process."""
    statements: Counter[tuple[str, ...]]

    @classmethod
    def of(cls, whole: WholeStack) -> "Reading":
        """Now."""
        return cls(cpu={name: _cpu_seconds(whole.stack.pid(name)) for name in PROCESSES}, statements=whole.counted())


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Of one phase."""

    cores: dict[str, float]
    """By process."""
    jobs: int
    """Sent to BigQuery, by all services."""
    lag: dict[str, float]
    """By service, the greatest delay of its event loop in the phase's last minute, in seconds."""


def usage(whole: WholeStack, before: Reading, seconds: float) -> Usage:
    """Since `before`, `seconds` ago."""
    after, row = Reading.of(whole), Row(name="", at_once=0)
    fill(row, before.statements, after.statements)
    return Usage(
        cores={name: (after.cpu[name] - before.cpu[name]) / seconds for name in PROCESSES},
        jobs=row.jobs,
        lag={name: _lag(whole.local.host, whole.local.port(f"{name}_metrics")) for name in SERVICES},
    )


def _cpu_seconds(pid: int) -> float:
    # After the name, which is in brackets: the fields 14 and 15 of proc(5) are the times in user and kernel mode.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _lag(host: str, port: int) -> float:
    with urlopen(f"http://{host}:{port}/metrics", timeout=10) as page:
        text = page.read().decode()
    return max(sample.value for family in text_string_to_metric_families(text) for sample in family.samples if sample.name == LAG)
