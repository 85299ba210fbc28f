"""A clone of the repository that this directory is in, for commands that run its own tools."""

import signal
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

    @property
    def python(self) -> str:
        """The interpreter of the clone's own environment."""
        return str(self.root / ".venv" / "bin" / "python")

    def within(self, file: str) -> str:
        """A file that was named from the working directory, as its tools take it. Raises UsageProblem if it is not in the clone."""
        path = Path(file).resolve()
        if not path.is_relative_to(self.root) or not path.is_file():
            raise UsageProblem(f"{file} is no file of the clone {self.root}.")
        return str(path.relative_to(self.root))

    def run(self, *command: str, quietly: bool = False) -> Ended:
        """Runs a program at the clone's root, with this process's terminal; `quietly`: its output is returned instead of shown. Ctrl-C is
        the program's: it may take its time to stop, and is waited for.
        """
        pipe = subprocess.PIPE if quietly else None
        before = signal.signal(signal.SIGINT, lambda *_: None)  # a function, unlike SIG_IGN, is not inherited
        try:
            with subprocess.Popen(command, cwd=self.root, stdout=pipe, stderr=pipe, text=True) as program:  # noqa: S603 - no shell
                out, err = program.communicate()
        except FileNotFoundError:
            raise UsageProblem(f"{command[0]} is not there. In the clone, run: make setup") from None
        finally:
            signal.signal(signal.SIGINT, before)
        return Ended(code=program.returncode, lines=[line for line in f"{out or ''}{err or ''}".splitlines() if line.strip()])
