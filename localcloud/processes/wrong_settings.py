"""Checks the settings of all processes before any is started. Otherwise each process would report only its own wrong setting, in its own
log.
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from pydantic_settings import BaseSettings

from console.settings import ConsoleSettings
from gateway.settings import GatewaySettings
from localcloud.processes.given import given_settings
from localcloud.processes.process import Process
from localcloud.settings import LocalSettings
from services.doctor.checks.service_settings import SETTINGS
from services.platform.environment.reading import from_environment, named_in, wrong_in
from services.platform.settings import ServiceSettings

KINDS: Final[Mapping[str, type[BaseSettings]]] = {
    **SETTINGS,
    "bootstrap": ServiceSettings,
    "gateway": GatewaySettings,
    "console": ConsoleSettings,
}
"""What each process reads its settings with; the others are given theirs as arguments."""


class WrongSettings(Exception):
    """Processes would not start with their settings. The text has a line for each wrong variable, with the processes that refuse it."""


def check_settings(processes: Iterable[Process]) -> None:
    """Raises `WrongSettings`."""
    if lines := _refused({process.name: process.environment for process in processes}):
        raise WrongSettings("\n".join(("Nothing was started, for settings are wrong:", *lines)))


def all_wrong(environment: Mapping[str, str]) -> list[str]:
    """What is wrong with the settings of the stack itself and, if any is, with those that it would pass on: one cannot hide another."""
    own = wrong_in(LocalSettings, environment)
    if not own:
        return []
    wrong = {name for line in own for name in named_in(LocalSettings, line)}
    fine = {name: value for name, value in environment.items() if name.upper() not in wrong}
    with tempfile.TemporaryDirectory() as state:  # What is made to see what the stack decides is not left behind.
        given = given_settings(from_environment(LocalSettings, fine, state_dir=Path(state)), environment)
    return [*own, *_refused(given.extra)]


def _refused(environments: Mapping[str, Mapping[str, str]]) -> list[str]:
    refused: dict[str, list[str]] = {}
    for process, environment in environments.items():
        if process in KINDS:
            for problem in wrong_in(KINDS[process], environment):
                refused.setdefault(problem, []).append(process)
    return [f"{problem} (refused by {', '.join(names)})" for problem, names in refused.items()]
