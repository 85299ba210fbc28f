"""Finds free ports, and reports ports that are in use."""

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import IO

from localcloud.processes.process import PortInUse, Process

HOST = "127.0.0.1"
_claimed = set[int]()


def free_ports(count: int) -> list[int]:
    """Free loopback ports. No other process that uses this function gets them while this process lives; none is returned twice."""
    found: list[int] = []
    # Below the range from which the kernel chooses ports for outgoing connections, so that none of those takes it first.
    candidates = random.SystemRandom().sample(range(20_000, 32_000), 12_000)
    while len(found) < count:
        if is_free(port := candidates.pop()) and _claim(port):
            found.append(port)
    return found


def _claim(port: int) -> bool:
    """Reserves a port: seconds pass between finding it and listening on it, in which a second test process could find it, too."""
    if port in _claimed:
        return False
    try:
        fcntl.lockf(_ledger(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _claimed.add(port)
    return True


@cache
def _ledger() -> IO[bytes]:
    """A lock file with one byte a port. The kernel releases a process's locks when it ends, however it ends."""
    return (Path(tempfile.gettempdir()) / f"convergence-ports-{os.getuid()}").open("ab")


def is_free(port: int) -> bool:
    """Whether a process could listen on the port now."""
    with socket.socket() as probe:
        # A port whose last connections are still closing is free for a server, which sets this option, too.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def check_ports(processes: Iterable[Process]) -> None:
    """Raises `PortInUse`, naming every port that a process needs and that is in use."""
    taken: dict[int, str] = {}
    problems = []
    for process in processes:
        for variable, port in process.ports.items():
            if port in taken:
                problems.append(f"port {port} is set for both {taken[port]} and {process.name}: change one, e.g. {variable}={port + 1000}")
            elif not is_free(port):
                problems.append(
                    f"port {port} of {process.name} is in use: stop what listens there (`ss -ltnp 'sport = :{port}'` names it), "
                    f"or choose another, e.g. {variable}={port + 1000}"
                )
            taken[port] = process.name
    if problems:
        raise PortInUse("\n".join(problems))
