"""Whether each service would take the settings that this process has, and whether any service knows them."""

import os
from collections.abc import Mapping

from pydantic import ValidationError

from services.auth.settings import AuthSettings
from services.credentials.settings import CredentialsSettings
from services.doctor.finding import Finding
from services.doctor.world import World
from services.executor.settings import ExecutorSettings
from services.platform.environment.reading import problems
from services.platform.environment.unknown import Unknown, of_all_services, unknown
from services.platform.settings import ServiceSettings
from services.scheduler.settings import SchedulerSettings

SETTINGS: Mapping[str, type[ServiceSettings]] = {
    "auth": AuthSettings,
    "credentials": CredentialsSettings,
    "scheduler": SchedulerSettings,
    "executor": ExecutorSettings,
}


async def look(world: World) -> list[Finding]:
    """Reads the environment as each service does."""
    wrong = [finding for name in world.names for finding in judge(name, problem_of(SETTINGS[name]))]
    return [*wrong, *map(finding_of, unknown(os.environ, of_all_services()))]


def problem_of(settings: type[ServiceSettings]) -> ValidationError | None:
    """Why the environment is no set of settings; None: it is."""
    try:
        settings()
    except ValidationError as error:
        return error
    return None


def judge(service: str, error: ValidationError | None) -> list[Finding]:
    """A finding for each variable; never with its value, which may be a secret. Pure."""
    if error is None:
        return []
    return [
        Finding(
            name="settings-invalid",
            subject=service,
            problem=f"{service} does not start: {one}",
            mend="env | grep -o '^CONVERGENCE_[A-Z_]*'   # docs/google-cloud.md lists all settings, with their defaults",
        )
        for one in problems(ServiceSettings, error)
    ]


def finding_of(one: Unknown) -> Finding:
    """For a variable that no service reads. Pure."""
    return Finding(
        name="setting-unknown",
        subject=one.variable,
        problem=str(one),
        mend=f"unset {one.variable}   # and set {one.nearest or 'what was meant'}; docs/google-cloud.md lists all settings",
    )
