"""The supervisor: starts parts in the order they need each other, keeps them alive, stops them in reverse."""

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
from localcloud.processes.process import Part
from localcloud.processes.suite import PARTS, WITH_SAMPLE, part, service
from localcloud.processes.supervisor import Runner
from localcloud.settings import LocalSettings


def _say(message: str) -> None:
    print(f"localcloud: {message}", file=sys.stderr, flush=True)


class Stack:
    """A local stack, or the few parts of it that are asked for. A context manager; all its methods may be called from any thread.

    `only` names the parts to start: `parts.PARTS`, `parts.WITH_SAMPLE`, or some of those. `extra` adds to a part's environment, by its
    name. `report` is told what a person must know while the stack runs. With `auto_restart` off, a part that dies stays dead until
    `restart`.
    """

    def __init__(
        self,
        settings: LocalSettings | None = None,
        *,
        only: Collection[str] = PARTS,
        extra: Mapping[str, Mapping[str, str]] | None = None,
        auto_restart: bool = True,
        report: Callable[[str], None] = _say,
    ) -> None:
        self.settings = settings or LocalSettings()
        self._extra = extra or {}
        self._auto_restart = auto_restart
        self._report = report
        self._admin_key = admin_key_of(self.settings)
        self._parts = [
            part(self.settings, name, admin_key=self._admin_key, extra=self._extra.get(name))
            for name in sorted(only, key=WITH_SAMPLE.index)
            if name != "cloud_scheduler" or self.settings.cloud_scheduler
        ]
        self._runners: dict[str, Runner] = {}
        # The kernel kills a part when the thread that spawned it ends, so that has to be one that lives as long as the stack.
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="spawner")

    @property
    def env(self) -> dict[str, str]:
        """What a caller needs: GATEWAY_URL, ADMIN_API_KEY, the emulators' addresses and the project."""
        return client_environment(self.settings, admin_key=self._admin_key)

    def start(self) -> Self:
        """Returns when every part is ready; with a gateway among them, `{state_dir}/env` is there then.

        Raises `PortInUse` before anything is started. Raises `PartFailed` with everything stopped again when a part fails.
        """
        check_ports(self._parts)
        certs.mint(self.settings.certs_dir)
        try:
            self._start_all(self._parts)
            if "gateway" in self._runners:
                write_env_file(self.settings.env_file, self.env)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stops every part, the last one started first; parts that nothing left needs or uses are stopped side by side."""
        left = dict(reversed(self._runners.items()))
        while left:
            needed = {need for runner in left.values() for need in (*runner.part.needs, *runner.part.uses)}
            batch = [left.pop(name) for name in list(left) if name not in needed]
            with ThreadPoolExecutor(len(batch)) as pool:
                list(pool.map(Runner.stop, batch))
        self._spawner.shutdown()

    def add(self, one: Part) -> None:
        """Starts one more part and returns when it is ready. Raises `PortInUse`, `PartFailed`."""
        if one.name in self._runners:
            raise ValueError(f"there is a part called {one.name} already")
        check_ports([one])
        self._start_all([one])

    def add_replica(self, name: str, *, extra: Mapping[str, str] | None = None) -> str:
        """Starts one more process of a service on free ports and returns its address. Its part is called `{name}-1`, `{name}-2`, ..."""
        replica = 1 + sum(known.startswith(f"{name}-") for known in self._runners)
        port, metrics_port = free_ports(2)
        extra = {**self._extra.get(name, {}), **(extra or {})}
        self.add(
            service(self.settings, name, admin_key=self._admin_key, replica=replica, port=port, metrics_port=metrics_port, extra=extra)
        )
        return f"{self.settings.host}:{port}"

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends the signal to a part; after SIGKILL, returns when it is dead."""
        runner = self._runner(name)
        runner.signal(number)
        if number == signal.SIGKILL:
            runner.process.wait()

    def wait(self, name: str, timeout: float) -> int | None:
        """The exit status of a part's process, as `Popen.returncode` has it; None if it still runs after `timeout` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._runner(name).process.wait(timeout)
        return None

    def stop_part(self, name: str) -> None:
        """Stops one part in order; it stays down until `restart`."""
        self._runner(name).stop()

    def restart(self, name: str) -> None:
        """Stops the part if it is up, starts it and returns when it is ready. Raises `PartFailed`."""
        runner = self._runner(name)
        runner.stop()
        runner.start()

    def pause(self, name: str) -> None:
        """Freezes a part: it keeps its ports and connections and does nothing, like a machine that hangs."""
        self.kill(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Lets a paused part go on."""
        self.kill(name, signal.SIGCONT)

    def pid(self, name: str) -> int:
        """Process id of the part's latest process."""
        return self._runner(name).process.pid

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _runner(self, name: str) -> Runner:
        try:
            return self._runners[name]
        except KeyError:
            raise ValueError(f"no part is called {name!r} here; there are {', '.join(self._runners)}") from None

    def _start_all(self, parts: Iterable[Part]) -> None:
        started: dict[str, Future[None]] = {}
        new = {one.name: self._new_runner(one) for one in parts}
        self._runners |= new
        with ThreadPoolExecutor(len(new) or 1) as pool:
            for name, runner in new.items():
                started[name] = pool.submit(_start_after, [started[need] for need in runner.part.needs if need in started], runner)
            pending = set(started.values())
            try:
                done, pending = wait(pending, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            finally:
                # One that was just about to start when the others were stopped is stopped the next time round.
                while pending:
                    for runner in new.values():
                        runner.stop()
                    _, pending = wait(pending, timeout=0.1)

    def _new_runner(self, one: Part) -> Runner:
        self.settings.logs_dir.mkdir(parents=True, exist_ok=True)
        return Runner(
            one,
            log=self.settings.logs_dir / f"{one.name}.log",
            environment=base_environment(self.settings),
            spawn=lambda popen: self._spawner.submit(popen).result(),
            report=self._report,
            start_timeout=self.settings.start_timeout,
            stop_grace=self.settings.stop_grace,
            auto_restart=self._auto_restart,
        )


def _start_after(needs: Iterable[Future[None]], runner: Runner) -> None:
    for need in needs:
        # Raises what stopped the part that this one needs.
        need.result()
    runner.start()
