"""Checks the settings of all processes before any is started. Otherwise each process would report only its own wrong setting, in its own
log.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic_settings import BaseSettings

from console.settings import ConsoleSettings
from gateway.settings import GatewaySettings
from localcloud.processes.process import Process
from services.doctor.checks.service_settings import SETTINGS
from services.platform.environment.reading import wrong_in
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
    refused: dict[str, list[str]] = {}
    for process in processes:
        if process.name in KINDS:
            for problem in wrong_in(KINDS[process.name], process.environment):
                refused.setdefault(problem, []).append(process.name)
    if refused:
        lines = [f"{problem} Refused by {', '.join(names)}." for problem, names in refused.items()]
        raise WrongSettings("\n".join(("Nothing was started, for settings are wrong:", *lines)))
