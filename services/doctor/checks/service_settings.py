"""Whether each service would take the settings that this process has, and whether any service knows them."""

import os
from collections.abc import Iterable, Mapping

from services.auth.settings import AuthSettings
from services.credentials.settings import CredentialsSettings
from services.doctor.finding import Finding
from services.doctor.world import World
from services.executor.settings import ExecutorSettings
from services.platform.environment.reading import wrong_in
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
    wrong = [finding for name in world.names for finding in judge(name, wrong_in(SETTINGS[name], os.environ))]
    return [*wrong, *map(finding_of, unknown(os.environ, of_all_services()))]


def judge(service: str, wrong: Iterable[str]) -> list[Finding]:
    """A finding for each line of what is wrong; never with a value, which may be a secret. Pure."""
    return [
        Finding(
            name="settings-invalid",
            subject=service,
            problem=f"{service} does not start: {one}",
            mend="env | grep -o '^CONVERGENCE_[A-Z_]*'   # docs/google-cloud.md lists all settings, with their defaults",
        )
        for one in wrong
    ]


def finding_of(one: Unknown) -> Finding:
    """For a variable that no service reads. Pure."""
    return Finding(
        name="setting-unknown",
        subject=one.variable,
        problem=str(one),
        mend=f"unset {one.variable}   # and set {one.nearest or 'what was meant'}; docs/google-cloud.md lists all settings",
    )
