"""What builds and runs containers: Docker or podman, whose commands are the same where this module uses them."""

import json
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
COMPOSE_FILE: Final = ROOT / "docker-compose.yml"
PROJECT: Final = "convergence-check"
"""Not the project of docker-compose.yml, which may run here with somebody's data."""


def run(*command: str | Path, env: Mapping[str, str] | None = None, stdin: Any = None) -> None:
    """Runs a program, whose output is shown. Raises CalledProcessError if it fails."""
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **(env or {})}, stdin=stdin)


def output(*command: str | Path, env: Mapping[str, str] | None = None) -> str:
    """What it prints on stdout. Raises CalledProcessError if it fails."""
    return subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, text=True).stdout


class Engine(ABC):
    """A place to build and run the suite in. `variables` are those that docker-compose.yml asks for."""

    inside: tuple[str, ...] = ()
    """What a command begins with to reach the ports that are published."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.compose: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())

    def images(self) -> dict[str, str]:
        """The Dockerfile's target of each image that docker-compose.yml builds, by the image's name."""
        return {part["image"]: part["build"]["target"] for part in self.compose["services"].values() if "build" in part}

    @abstractmethod
    def cli(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """The command line, `docker` or one like it, and its environment."""

    def ask(self, *arguments: str) -> str:
        """What the command line prints. Raises CalledProcessError if it fails."""
        command, env = self.cli()
        return output(*command, *arguments, env=env)

    def inspect(self, *arguments: str) -> list[dict[str, Any]]:
        """What it knows of containers or images."""
        found: list[dict[str, Any]] = json.loads(self.ask("inspect", *arguments))
        return found

    @abstractmethod
    def prepare(self) -> None:
        """Makes whatever building needs."""

    @abstractmethod
    def build(self) -> None:
        """Builds the three images."""

    @abstractmethod
    def start(self) -> None:
        """Starts the suite; returns when each part is healthy. Raises an error if one does not become so."""

    @abstractmethod
    def demo(self) -> None:
        """Runs the part `demo`. Raises CalledProcessError if it fails."""

    @abstractmethod
    def container(self, part: str) -> str:
        """The name or id of a part's container."""

    @abstractmethod
    def clean(self) -> None:
        """Removes containers, volumes, networks and whatever else was made."""
