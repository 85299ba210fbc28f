"""Ports for stacks that start side by side."""

import subprocess
import sys

from localcloud.ports import free_ports

PICKS = "import sys; from localcloud.ports import free_ports; print(*free_ports(4000), flush=True); sys.stdin.read()"


def test_two_processes_never_get_the_same_port_while_both_live() -> None:
    """Of 12,000 ports two processes pick 4,000 each before either listens on one; without a claim a third of them would be both's."""
    processes = [
        subprocess.Popen([sys.executable, "-c", PICKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    try:
        first, second = (set(process.stdout.readline().split()) for process in processes if process.stdout)
        assert (len(first), len(second), first & second) == (4000, 4000, set())
    finally:
        for process in processes:
            process.communicate()
    assert len(set(free_ports(4000))) == 4000, "what they had is free again"
