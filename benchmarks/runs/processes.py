"""CPU and memory of a stack's processes, with their children, from /proc."""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MIB: Final = 2**20
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """Of one process of the stack and its children, during some seconds."""

    cores: float
    pss_mib: float
    """Resident memory; what processes share is divided among them."""


def cpu_seconds(pid: int) -> float:
    """So far, of a process and all that descend from it and live."""
    return sum(_own_cpu(one) for one in _tree(pid))


def idle_use(pids: Mapping[str, int], seconds: float) -> dict[str, Use]:
    """What each takes in the next seconds."""
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    began = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    return {
        name: Use(cores=(cpu_seconds(pid) - before[name]) / took, pss_mib=sum(map(_pss, _tree(pid))) / MIB) for name, pid in pids.items()
    }


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(children).split():
            yield from _tree(int(child))


def _own_cpu(pid: int) -> float:
    # After the name, which is in brackets: the fields 14 and 15 of proc(5) are the times in user and kernel mode.
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _pss(pid: int) -> int:
    found = (line.split() for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines())
    return sum(int(words[1]) * 1024 for words in found if words[0] == "Pss:")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:  # it has ended
        return ""
