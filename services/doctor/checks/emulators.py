"""On a laptop: whether the emulators that the settings name are there."""

import asyncio
import contextlib
from collections.abc import Mapping
from urllib.parse import urlsplit

from services.doctor.finding import Finding, NotChecked
from services.doctor.world import World
from services.platform.settings import ServiceSettings

SECONDS = 2.0


async def look(world: World) -> list[Finding]:
    """Connects to each."""
    named = addresses(world.settings)
    if not named:
        raise NotChecked("no *_EMULATOR_HOST is set: the clouds are real ones")
    answers = await asyncio.gather(*(listens(*address) for address in named.values()))
    return judge(dict(zip(named, answers, strict=True)), named)


def addresses(settings: ServiceSettings) -> dict[str, tuple[str, int]]:
    """Host and port of each emulator, by its variable. Pure."""
    given = {
        "BIGQUERY_EMULATOR_HOST": settings.bigquery_emulator_host,
        "BIGQUERY_STORAGE_EMULATOR_HOST": settings.bigquery_storage_emulator_host,
        "KMS_EMULATOR_HOST": settings.kms_emulator_host,
        "AWS_EMULATOR_HOST": settings.aws_emulator_host,
        "AZURE_EMULATOR_HOST": settings.azure_emulator_host,
        "GOOGLE_STS_EMULATOR_HOST": settings.google_sts_emulator_host,
    }
    parts = {name: urlsplit(value if "://" in value else f"//{value}") for name, value in given.items() if value}
    return {name: (part.hostname or "", part.port or 80) for name, part in parts.items()}


def judge(up: Mapping[str, bool], named: Mapping[str, tuple[str, int]]) -> list[Finding]:
    """Pure."""
    return [
        Finding(
            name="emulator-missing",
            subject=name,
            problem=f"Nothing listens at {named[name][0]}:{named[name][1]}, which {name} names.",
            mend=f"make up   # starts all emulators; or unset {name}, if the cloud is meant",
        )
        for name, is_up in up.items()
        if not is_up
    ]


async def listens(host: str, port: int) -> bool:
    """Whether a connection is taken within SECONDS."""
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
