"""Keeps one process of a stack alive: starts it, waits until it is ready, reports its death, restarts it, stops it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from localcloud.processes.process import Process, ProcessFailed

POLL = 0.04  # seconds between two readiness checks
BACKOFF_FIRST, BACKOFF_LAST = 1.0, 30.0  # seconds before a dead process is started again
STEADY = 60.0  # seconds after which a process counts as healthy, and its next death as its first
TAIL_LINES = 25
DIE_WITH_PARENT = str(Path(__file__).with_name("die_with_parent.py"))

# Runs a function in the one thread that spawns all children: the kernel kills a child when the thread that spawned it ends.
type Spawn = Callable[[Callable[[], subprocess.Popen[bytes]]], subprocess.Popen[bytes]]


class Supervisor:
    """Supervises one process. `environment` is what every process gets; `report` is called with messages for people, of one line or
    more.
    """

    def __init__(  # noqa: PLR0913 - a process is started with all of this, and no two of these belong together
        self,
        process: Process,
        *,
        log: Path,
        environment: Mapping[str, str],
        spawn: Spawn,
        report: Callable[[str], None],
        start_timeout: float,
        stop_grace: float,
        auto_restart: bool,
    ) -> None:
        self.process = process
        self._log = log
        self._environment = {**environment, **process.environment}
        self._spawn = spawn
        self._report = report
        self._start_timeout = start_timeout
        self._stop_grace = stop_grace
        self._auto_restart = auto_restart
        self._lock = threading.Lock()
        # Set when the process is to be down. Each start() has one of its own, so that a late watcher of an earlier start changes nothing.
        self._stopped = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._backoff = BACKOFF_FIRST
        log.unlink(missing_ok=True)

    @property
    def child(self) -> subprocess.Popen[bytes]:
        """The latest child process, dead or alive. Raises `ProcessFailed` before the first start."""
        if self._child is None:
            raise ProcessFailed(f"{self.process.name} was never started")
        return self._child

    def start(self) -> None:
        """Returns when the process is ready. Raises `ProcessFailed` if it ends first, takes too long, or is stopped meanwhile."""
        self._stopped = threading.Event()
        self._launch(self._stopped)

    def stop(self) -> None:
        """Returns when the child has ended: on SIGTERM, or killed after the grace. Does nothing if it is down already."""
        self._stopped.set()
        with self._lock:
            child = self._child
        if child is None or child.poll() is not None:
            return
        self.signal(signal.SIGTERM)
        # A paused child would never see the SIGTERM.
        self.signal(signal.SIGCONT)
        try:
            child.wait(self._stop_grace)
        except subprocess.TimeoutExpired:
            self._report(f"{self.process.name} did not end within {self._stop_grace:g} s of SIGTERM: killed")
            self.signal(signal.SIGKILL)
            child.wait()

    def signal(self, number: signal.Signals) -> None:
        """Sends the signal to the process's whole process group; does nothing if it is down."""
        child = self.child
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, number)

    def _launch(self, stopped: threading.Event) -> None:
        with self._lock:
            if stopped.is_set():
                raise ProcessFailed(f"{self.process.name} was stopped while it started")
            log_start = self._log.stat().st_size if self._log.exists() else 0
            child = self._child = self._spawn(self._popen)
        self._await_ready(child, stopped, log_start)
        if self.process.ready is not None:
            threading.Thread(target=self._watch, args=(child, stopped), name=f"watch-{self.process.name}", daemon=True).start()

    def _popen(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-S", DIE_WITH_PARENT, str(os.getpid()), *self.process.command]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def _await_ready(self, child: subprocess.Popen[bytes], stopped: threading.Event, log_start: int) -> None:
        name, deadline = self.process.name, time.monotonic() + self._start_timeout
        lacks: str | None = "it has not ended yet"
        while True:
            status = child.poll()
            if stopped.is_set():
                raise ProcessFailed(f"{name} was stopped while it started")
            if status == 0 and self.process.ready is None:
                return
            if status is not None:
                raise ProcessFailed(f"{name} died while starting: {ending(status)}{self._tail(log_start)}")
            if self.process.ready is not None and (lacks := self.process.ready()) is None:
                return
            if time.monotonic() > deadline:
                self.signal(signal.SIGKILL)
                raise ProcessFailed(f"{name} is not ready after {self._start_timeout:g} s: {lacks}{self._tail(log_start)}")
            stopped.wait(POLL)

    def _watch(self, child: subprocess.Popen[bytes], stopped: threading.Event) -> None:
        since = time.monotonic()
        status = child.wait()
        if stopped.is_set():
            return
        if time.monotonic() - since > STEADY:
            self._backoff = BACKOFF_FIRST
        self._report(f"{self.process.name} died: {ending(status)}; its log is {self._log}")
        while self._auto_restart and not stopped.is_set():
            self._report(f"{self.process.name} starts again in {self._backoff:g} s")
            if stopped.wait(self._backoff):
                return
            self._backoff = min(self._backoff * 2, BACKOFF_LAST)
            try:
                self._launch(stopped)
            except ProcessFailed as failure:
                if not stopped.is_set():
                    self._report(str(failure))
            else:
                self._report(f"{self.process.name} is back")
                return

    def _tail(self, log_start: int) -> str:
        with self._log.open("rb") as log:
            log.seek(log_start)
            lines = log.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        return "".join(["\n  the end of ", str(self._log), ":", *(f"\n  | {line}" for line in lines)]) if lines else "; it logged nothing"


def ending(status: int) -> str:
    """How a child ended, for people, from `Popen.returncode`."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
