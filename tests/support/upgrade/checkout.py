"""A checkout of some commit, after `make gen`, and the processes that run its code."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcloud.processes.environment import service_environment
from localcloud.rest import Rest
from localcloud.settings import SERVICES, LocalSettings

CHILD = Path(__file__).with_name("child.py")
PARTS = (*SERVICES, "gateway")
STOP_GRACE = 122
"""Seconds that a process has after SIGTERM, as the Helm chart's executors do; their runs have 7 s less."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A checkout's services behind its gateway."""

    name: str
    admin: Rest
    child: "subprocess.Popen[str]"

    def kill(self, part: str) -> None:
        """As a lost machine: SIGKILL."""
        self._ask(f"kill {part}")

    def stop(self, part: str) -> None:
        """As a deployment: SIGTERM, and SIGKILL after STOP_GRACE. Returns when the process has ended."""
        self._ask(f"stop {part}")

    def _ask(self, command: str) -> None:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(f"{command}\n")
        self.child.stdin.flush()
        self.child.stdout.readline()


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkout:
    """`folder`: where it is. `emulators`: what its processes use."""

    folder: Path
    emulators: LocalSettings
    extra: Mapping[str, str]
    """Variables of all its processes."""

    @property
    def python(self) -> str:
        return str(self.folder / ".venv" / "bin" / "python")

    def bootstrap(self, *arguments: str) -> str:
        """Runs its bootstrap to the end; returns what it printed. Raises RuntimeError with what it wrote if it failed."""
        environment = {**service_environment(self.emulators, admin_key=""), **self.extra, "PYTHONPATH": str(self.folder)}
        command = [self.python, "-m", "services.platform.bootstrap", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=environment, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{self.folder}: the bootstrap ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    @contextmanager
    def running(
        self, name: str, state_dir: Path, *, ports: Mapping[str, int] | None = None, extra: Mapping[str, str] | None = None
    ) -> Iterator[Running]:
        """Its processes until the end of the context, when they are stopped in order. `ports`: of services, by their names; else any that
        are free. `extra`: more variables of all of them.
        """
        shared = ("bigquery_port", "bigquery_storage_port", "kms_port", "lease_seconds")
        given = {
            "state_dir": str(state_dir),
            "cache_dir": str(self.emulators.cache_dir),
            "settings": {
                "cloud_scheduler": False,
                "start_timeout": 180,
                "stop_grace": STOP_GRACE,
                **{one: getattr(self.emulators, one) for one in shared},
                **{f"{service}_port": port for service, port in (ports or {}).items()},
            },
            "parts": list(PARTS),
            "extra": {**self.extra, **(extra or {})},
        }
        command = [self.python, str(CHILD), json.dumps(given)]
        with subprocess.Popen(command, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            try:
                env = json.loads(child.stdout.readline())
                yield Running(name=name, admin=Rest(url=env["GATEWAY_URL"], headers={"X-Admin-Key": env["ADMIN_API_KEY"]}), child=child)
            finally:
                child.stdin.close()
                child.wait(60 + STOP_GRACE)
