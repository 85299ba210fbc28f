"""A stack of processes: started in the order they need each other, kept alive, stopped in reverse."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

from localcloud import certs
from localcloud.ports import check_ports, free_ports
from localcloud.processes.environment import admin_key_of, base_environment, client_environment, write_env_file
from localcloud.processes.process import Process
from localcloud.processes.suite import ALL, PROCESSES, make_process, service
from localcloud.processes.supervisor import Supervisor
from localcloud.processes.wrong_settings import check_settings
from localcloud.settings import LocalSettings


def _say(message: str) -> None:
    print(f"localcloud: {message}", file=sys.stderr, flush=True)


class Stack:
    """A local stack, or some of its processes. A context manager; all methods may be called from any thread.

    `only` names the processes to start: `suite.PROCESSES`, `suite.ALL`, or some of those. `extra` adds to a process's environment,
    by its name. `report` is called with messages for people while the stack runs. With `auto_restart` off, a process that dies stays down
    until `restart`.
    """

    def __init__(
        self,
        settings: LocalSettings | None = None,
        *,
        only: Collection[str] = PROCESSES,
        extra: Mapping[str, Mapping[str, str]] | None = None,
        auto_restart: bool = True,
        report: Callable[[str], None] = _say,
    ) -> None:
        self.settings = settings or LocalSettings()
        self._extra = extra or {}
        self._auto_restart = auto_restart
        self._report = report
        self._admin_key = admin_key_of(self.settings)
        self._processes = [
            make_process(self.settings, name, admin_key=self._admin_key, extra=self._extra.get(name))
            for name in sorted(only, key=ALL.index)
            if name != "cloud_scheduler" or self.settings.cloud_scheduler
        ]
        self._supervisors: dict[str, Supervisor] = {}
        # The kernel kills a process when the thread that spawned it ends, so this thread must live as long as the stack.
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="spawner")

    @property
    def env(self) -> dict[str, str]:
        """Variables for a caller: GATEWAY_URL, ADMIN_API_KEY, the emulators' addresses and the project."""
        return client_environment(self.settings, admin_key=self._admin_key)

    def start(self) -> Self:
        """Returns when every process is ready; with a gateway among them, `{state_dir}/env` is there then.

        Raises `WrongSettings` or `PortInUse` before anything is started. Raises `ProcessFailed`, with everything stopped again, when a
        process fails.
        """
        check_settings(self._processes)
        check_ports(self._processes)
        certs.mint(self.settings.certs_dir)
        try:
            self._start_all(self._processes)
            if "gateway" in self._supervisors:
                write_env_file(self.settings.env_file, self.env)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stops every process, the last one started first; processes that nothing left needs or uses are stopped side by side."""
        left = dict(reversed(self._supervisors.items()))
        while left:
            needed = {need for supervisor in left.values() for need in (*supervisor.process.needs, *supervisor.process.uses)}
            batch = [left.pop(name) for name in list(left) if name not in needed]
            with ThreadPoolExecutor(len(batch)) as pool:
                list(pool.map(Supervisor.stop, batch))
        self._spawner.shutdown()

    def add(self, one: Process) -> None:
        """Starts one more process and returns when it is ready. Raises `PortInUse`, `ProcessFailed`."""
        if one.name in self._supervisors:
            raise ValueError(f"there is a process called {one.name} already")
        check_ports([one])
        self._start_all([one])

    def add_replica(self, name: str, *, extra: Mapping[str, str] | None = None) -> str:
        """Starts one more process of a service on free ports and returns its address. It is called `{name}-1`, `{name}-2`, ..."""
        replica = 1 + sum(known.startswith(f"{name}-") for known in self._supervisors)
        port, metrics_port = free_ports(2)
        extra = {**self._extra.get(name, {}), **(extra or {})}
        self.add(
            service(self.settings, name, admin_key=self._admin_key, replica=replica, port=port, metrics_port=metrics_port, extra=extra)
        )
        return f"{self.settings.host}:{port}"

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends the signal to a process; after SIGKILL, returns when it is dead."""
        supervisor = self._supervisor(name)
        supervisor.signal(number)
        if number == signal.SIGKILL:
            supervisor.child.wait()

    def wait(self, name: str, timeout: float) -> int | None:
        """The exit status of a process, as in `Popen.returncode`; None if it still runs after `timeout` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._supervisor(name).child.wait(timeout)
        return None

    def stop_process(self, name: str) -> None:
        """Stops one process normally; it stays down until `restart`."""
        self._supervisor(name).stop()

    def restart(self, name: str) -> None:
        """Stops the process if it is up, starts it and returns when it is ready. Raises `ProcessFailed`."""
        supervisor = self._supervisor(name)
        supervisor.stop()
        supervisor.start()

    def pause(self, name: str) -> None:
        """Freezes a process: it keeps its ports and connections and does nothing, like a machine that hangs."""
        self.kill(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Resumes a paused process."""
        self.kill(name, signal.SIGCONT)

    def pid(self, name: str) -> int:
        """The id of the latest process of that name."""
        return self._supervisor(name).child.pid

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _supervisor(self, name: str) -> Supervisor:
        try:
            return self._supervisors[name]
        except KeyError:
            raise ValueError(f"no process is called {name!r} here; there are {', '.join(self._supervisors)}") from None

    def _start_all(self, processes: Iterable[Process]) -> None:
        started: dict[str, Future[None]] = {}
        new = {one.name: self._new_supervisor(one) for one in processes}
        self._supervisors |= new
        with ThreadPoolExecutor(len(new) or 1) as pool:
            for name, supervisor in new.items():
                started[name] = pool.submit(
                    _start_after, [started[need] for need in supervisor.process.needs if need in started], supervisor
                )
            pending = set(started.values())
            try:
                done, pending = wait(pending, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            finally:
                # A process that was just being started when the others were stopped is stopped in the next round.
                while pending:
                    for supervisor in new.values():
                        supervisor.stop()
                    _, pending = wait(pending, timeout=0.1)

    def _new_supervisor(self, one: Process) -> Supervisor:
        self.settings.logs_dir.mkdir(parents=True, exist_ok=True)
        return Supervisor(
            one,
            log=self.settings.logs_dir / f"{one.name}.log",
            environment=base_environment(self.settings),
            spawn=lambda popen: self._spawner.submit(popen).result(),
            report=self._report,
            start_timeout=self.settings.start_timeout,
            stop_grace=self.settings.stop_grace,
            auto_restart=self._auto_restart,
        )


def _start_after(needs: Iterable[Future[None]], supervisor: Supervisor) -> None:
    for need in needs:
        # Raises the error of the process that this one needs.
        need.result()
    supervisor.start()
