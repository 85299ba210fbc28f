"""The part of the doctor that runs where the services' settings are: `services.doctor`, a program of its own."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from convergence.cli.doctor.finding import Looked, read_looked
from convergence.cli.options import UsageProblem
from convergence.cli.repository import Repository

_SECONDS = 120.0
_IN_A_CLUSTER = "kubectl exec deployment/executor -- python -m services.doctor"


def examine_local() -> list[Looked]:
    """Runs it: in a clone with the settings of the suite on this machine, elsewhere with this process's environment. Raises UsageProblem
    where there is no such program, or if it breaks.
    """
    command, folder = _command(Repository.find(Path.cwd()))
    try:
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=_SECONDS)  # noqa: S603 - our own program
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageProblem(f"{' '.join(command)} did not end ({type(error).__name__}).") from None
    try:
        return [read_looked(one) for one in json.loads(done.stdout)["checks"]]
    except (ValueError, KeyError, TypeError):
        last = done.stderr.strip().splitlines()[-1:] or ["it printed nothing"]
        raise UsageProblem(f"{' '.join(command)} broke: {last[0]}") from None


def _command(repository: Repository | None) -> tuple[Sequence[str], Path | None]:
    if repository is not None:
        return (repository.python, "-m", "localcloud", "doctor"), repository.root
    if importlib.util.find_spec("services") is not None:
        return (sys.executable, "-m", "services.doctor"), None
    raise UsageProblem(
        f"--local looks with the services' settings, so it runs where they are: in a clone, or in a service's container: {_IN_A_CLUSTER}"
    )
