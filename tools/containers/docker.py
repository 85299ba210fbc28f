"""The suite with Docker: its own compose does everything."""

import subprocess
from collections.abc import Mapping, Sequence

from tools.containers.container_engine import PROJECT, Engine, run


class Docker(Engine):
    """Images stay where they are: they are what `docker compose up` would build."""

    @staticmethod
    def is_here() -> bool:
        """Whether a daemon answers, and compose is installed."""
        asked = (["docker", "info"], ["docker", "compose", "version"])
        try:
            return all(subprocess.run(one, check=False, capture_output=True).returncode == 0 for one in asked)
        except FileNotFoundError:
            return False

    def cli(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Docker's own."""
        return ("docker",), self.variables

    def prepare(self) -> None:
        """Nothing: base images come from a registry."""

    def build(self) -> None:
        """Those of the profile `demo` too."""
        self._compose("--profile", "demo", "build")

    def start(self) -> None:
        """Waits as `depends_on` says."""
        self._compose("up", "--detach", "--wait")

    def demo(self) -> None:
        """And the part `sample`, which it depends on."""
        self._compose("run", "--rm", "demo")

    def container(self, part: str) -> str:
        """Its id."""
        return self.ask("compose", "--project-name", PROJECT, "ps", "--quiet", part).strip()

    def clean(self) -> None:
        """All but the images."""
        self._compose("--profile", "demo", "down", "--volumes")

    def _compose(self, *arguments: str) -> None:
        run("docker", "compose", "--project-name", PROJECT, *arguments, env=self.variables)
