"""`python -m services.doctor [SERVICE ...]`: prints a JSON object with what is wrong; exits with 1 if anything is."""

import argparse
import asyncio
import json
import logging
import os
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import structlog
from google.auth.exceptions import DefaultCredentialsError

from services.doctor.checks import CHECKS, Check, service_settings
from services.doctor.finding import Looked, NotChecked
from services.doctor.world import SERVICES, World
from services.platform.bigquery.client import BigQuery
from services.platform.environment.reading import wrong_in
from services.platform.settings import ServiceSettings

DEADLINE_SECONDS = 5.0


def stands_for(given: tuple[str, ...], tls_dir: Path) -> tuple[str, ...]:
    """The services that are asked for; if none is, those whose certificate this process has; if it has none, all."""
    return given or tuple(name for name in SERVICES if (tls_dir / f"{name}.pem").exists()) or SERVICES


async def examine(world: World) -> list[Looked]:
    """All checks, one after the other."""
    return [await _look(check, world) for check in CHECKS]


async def _look(check: Check, world: World) -> Looked:
    try:
        return Looked(check=check.name, findings=await check.look(world))
    except NotChecked as why:
        return Looked(check=check.name, skipped=str(why))


async def main(names: tuple[str, ...]) -> list[Looked]:
    """What is found with this process's environment."""
    if wrong := wrong_in(ServiceSettings, os.environ):
        # Nothing else can be looked at without them.
        return [Looked(check="settings", findings=service_settings.judge("every service", wrong))]
    settings = ServiceSettings().model_copy(update={"bigquery_deadline_seconds": DEADLINE_SECONDS})
    async with AsyncExitStack() as stack:
        try:
            bq = await stack.enter_async_context(BigQuery(settings, service="doctor"))
        except DefaultCredentialsError:
            bq = None
        return await examine(World(settings=settings, names=stands_for(names, settings.tls_dir), bq=bq, now=datetime.now(UTC)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m services.doctor", description="Prints what is wrong with this installation, as JSON.")
    parser.add_argument("service", nargs="*", choices=SERVICES, help="the services to look as; without it those whose certificate is here")
    # What the services' clients log of a failure is found anyway; stdout is for the answer alone.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    looked = asyncio.run(main(tuple(parser.parse_args().service)))
    print(json.dumps({"checks": [one.as_json() for one in looked]}, indent=2))
    sys.exit(1 if any(one.findings for one in looked) else 0)
