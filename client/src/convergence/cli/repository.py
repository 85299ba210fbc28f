"""A clone of the repository that this directory is in, for commands that run its own tools."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convergence.cli.options import UsageProblem

_MARKS = ("Makefile", "localcloud/__main__.py", "protos/convergence")
"""What a clone has, and a folder that only looks alike does not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A program that has ended."""

    code: int
    lines: Sequence[str] = ()
    """What it printed, if it was run quietly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repository:
    """A clone."""

    root: Path

    @classmethod
    def find(cls, start: Path) -> "Repository | None":
        """The clone that `start` lies in; None: in none."""
        for folder in (start, *start.parents):
            if all((folder / mark).exists() for mark in _MARKS):
                return cls(root=folder)
        return None

    @classmethod
    def here(cls) -> "Repository":
        """The clone that the working directory lies in. Raises UsageProblem if there is none."""
        if found := cls.find(Path.cwd()):
            return found
        raise UsageProblem("This command runs the repository's own tools: call it inside a clone of Convergence.")

    def run(self, *command: str, quietly: bool = False) -> Ended:
        """Runs a program at the clone's root, with this process's terminal; `quietly`: its output is returned instead of shown."""
        try:
            done = subprocess.run(command, cwd=self.root, check=False, capture_output=quietly, text=True)  # noqa: S603 - a command of this module's callers, no shell
        except FileNotFoundError:
            raise UsageProblem(f"{command[0]} is not installed.") from None
        lines = [line for line in f"{done.stdout or ''}{done.stderr or ''}".splitlines() if line.strip()] if quietly else []
        return Ended(code=done.returncode, lines=lines)
