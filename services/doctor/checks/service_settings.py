"""Whether each service would take the settings that this process has."""

from collections.abc import Mapping

from pydantic import ValidationError

from services.auth.settings import AuthSettings
from services.credentials.settings import CredentialsSettings
from services.doctor.finding import Finding
from services.doctor.world import World
from services.executor.settings import ExecutorSettings
from services.platform.environment import problems
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
    return [finding for name in world.names for finding in judge(name, problem_of(SETTINGS[name]))]


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
