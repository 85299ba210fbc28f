"""The suite with podman, on a machine as `debian` describes it."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tools.containers import debian
from tools.containers.container_engine import PROJECT, ROOT, Engine, run

FOLDER: Final = Path("/var/tmp/convergence-containers")  # noqa: S108 - as root, on a machine of one's own
"""Not in the clone: a root file system, with /proc mounted in it at times, is nothing to search or delete by mistake."""
COMPOSE: Final = ROOT / ".cache" / "containers" / "venv" / "bin" / "podman-compose"
NAMESPACE: Final = PROJECT
"""A network of the kernel's that only the containers are in: their bridge, rules and ports are not the machine's, and end with it."""
INSIDE: Final = ("nsenter", f"--net=/run/netns/{NAMESPACE}")
SECONDS: Final = 180.0
"""How long a part may take to become healthy or to end."""


class Podman(Engine):
    """Everything is in FOLDER, and in the network's namespace."""

    inside = INSIDE

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(variables)
        self._env = {**variables, **debian.environment(FOLDER)}
        self._file = FOLDER / "docker-compose.json"

    def cli(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Within the containers' network."""
        return (*INSIDE, "podman"), self._env

    def prepare(self) -> None:
        """The packages, the base image and the network; what a killed round has left is removed first."""
        debian.install()
        debian.configure(FOLDER)
        self.clean()
        debian.configure(FOLDER)
        self._file.write_text(json.dumps(without_start_interval(self.compose)))
        [tag] = re.findall(r"^ARG PYTHON_IMAGE=python:(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        debian.base_image(FOLDER, tag, self._env)
        run("ip", "netns", "add", NAMESPACE)
        run(*INSIDE, "ip", "link", "set", "lo", "up")

    def build(self) -> None:
        """In the machine's network, which leads to PyPI and npm."""
        for image, target in self.images().items():
            options = ("--network=host", "--pull=never", "--layers", "--format=docker", "--quiet")
            run("podman", "build", *options, f"--target={target}", f"--tag={image}", ROOT, env=self._env)

    def start(self) -> None:
        """Parts when what they depend on is as they ask: podman-compose itself waits for none of that where there is no systemd, whose
        timers run health checks.
        """
        parts = {name: part for name, part in self.compose["services"].items() if "profiles" not in part}
        for batch in batches(parts):
            self._start(*batch)
        for name, part in parts.items():
            if "healthcheck" in part:
                self._wait(name, "service_healthy")

    def demo(self) -> None:
        """After the sample, which it depends on."""
        self._start("sample")
        self._start("demo")
        run(*INSIDE, "podman", "logs", "--follow", self.container("demo"), env=self._env)
        self._wait("demo", "service_completed_successfully")

    def container(self, part: str) -> str:
        """Its name."""
        return f"{PROJECT}_{part}_1"

    def clean(self) -> None:
        """Containers first, whose file systems are mounted in the folder."""
        if Path(f"/run/netns/{NAMESPACE}").exists():
            self.ask("stop", "--all", "--time", "10")
            self.ask("rm", "--all", "--force")
            run("ip", "netns", "delete", NAMESPACE)
        debian.remove(FOLDER)
        debian.remove_groups()

    def _start(self, *parts: str) -> None:
        needs = {need: how for part in parts for need, how in self.compose["services"][part].get("depends_on", {}).items()}
        for needed, how in needs.items():
            self._wait(needed, how["condition"])
        options = ("--in-pod=false", "--project-name", PROJECT, "--profile", "demo", "--file", str(self._file))
        command = [*INSIDE, str(COMPOSE), *options, "up", "--detach", "--no-deps", "--no-build", *parts]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **self._env})
        if done.returncode:
            raise RuntimeError(f"{', '.join(parts)}: podman-compose fails:\n{done.stdout}{done.stderr}")

    def _wait(self, part: str, condition: str) -> None:
        """Raises RuntimeError if the part ends otherwise, or if it takes too long."""
        deadline = time.monotonic() + SECONDS
        while not self._is(part, condition):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{part} is not {condition} after {SECONDS:g} s:\n{self._log(part)}")
            time.sleep(0.5)

    def _is(self, part: str, condition: str) -> bool:
        [found] = self.inspect(self.container(part))
        state = found["State"]
        if state["Running"]:
            return condition == "service_healthy" and self._passes(part)
        if condition == "service_healthy" or state["ExitCode"]:
            raise RuntimeError(f"{part} has ended with {state['ExitCode']}:\n{self._log(part)}")
        return True

    def _passes(self, part: str) -> bool:
        """Its health check, once."""
        command = [*INSIDE, "podman", "healthcheck", "run", self.container(part)]
        return subprocess.run(command, check=False, capture_output=True, env={**os.environ, **self._env}).returncode == 0

    def _log(self, part: str) -> str:
        command = [*INSIDE, "podman", "logs", "--tail", "40", self.container(part)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **self._env})
        return done.stdout + done.stderr


def without_start_interval(compose: Mapping[str, Any]) -> dict[str, Any]:
    """For podman 4, which knows no `start_interval`: what is left of the file."""
    kept = {
        name: {**part, "healthcheck": {key: value for key, value in part["healthcheck"].items() if key != "start_interval"}}
        if "healthcheck" in part
        else part
        for name, part in compose["services"].items()
    }
    return {**compose, "services": kept}


def batches(parts: Mapping[str, Any]) -> Iterator[list[str]]:
    """The parts, each in a later batch than those that it depends on."""
    left = dict(parts)
    while left:
        batch = [name for name, part in left.items() if not left.keys() & part.get("depends_on", {}).keys()]
        if not batch:
            raise ValueError(f"docker-compose.yml: {', '.join(left)} depend on each other")
        yield batch
        left = {name: part for name, part in left.items() if name not in batch}
