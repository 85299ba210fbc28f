"""The command line in the test's own process, as a user of an installation has it."""

import io
import json
import os
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from convergence.cli.app import main


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """What it printed, where each line is an object."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandLine:
    """Runs commands with these variables, and no profile."""

    environment: Mapping[str, str]

    def run(self, *arguments: str, stdin: str = "") -> Ended:
        """`convergence ARGUMENTS`."""
        out, err = io.StringIO(), io.StringIO()
        given = io.TextIOWrapper(io.BytesIO(stdin.encode()))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CONVERGENCE_")}
        world = patch.dict(os.environ, {**kept, **self.environment}, clear=True), patch("sys.stdin", given)
        with world[0], world[1], redirect_stdout(out), redirect_stderr(err):
            code = main(list(arguments))
        return Ended(code=code, out=out.getvalue(), err=err.getvalue())

    def good(self, *arguments: str, stdin: str = "") -> Any:
        """The JSON of a command that must end with 0."""
        ended = self.run(*arguments, "--json", stdin=stdin)
        assert ended.code == 0, (arguments, ended.err)
        return ended.json
