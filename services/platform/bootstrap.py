"""Creates the control dataset, or brings it up to this release: `python -m services.platform.bootstrap`. Run it before each deployment;
running it again changes nothing. With `--dry-run` it prints the statements that it would send, and changes nothing.
"""

import argparse
import asyncio
import os
from collections.abc import Sequence

from services.platform import log
from services.platform.bigquery.client import BigQuery
from services.platform.environment.reading import read
from services.platform.schema.dataset import SECONDS, ControlDataset
from services.platform.schema.lock import SchemaLock
from services.platform.schema.release import STATE, Change, Release
from services.platform.settings import ServiceSettings


async def bootstrap(settings: ServiceSettings, bq: BigQuery) -> list[str]:
    """Brings the control dataset up to this release. Returns what it has changed, e.g. `["tenant_profiles"]`, or
    `["tenant_profiles.status"]` for an added column. Raises Unavailable, also if another bootstrap does not end.
    """
    release, dataset, lock = _parts(settings, bq)
    if not await dataset.exists():
        await dataset.create()
    if STATE not in await dataset.find([STATE]):
        await bq.query(release.tables[STATE].create, {}, dataset=bq.control(), seconds=SECONDS)
    if not await _changes(release, dataset, bq, await lock.read_version()):
        return []
    done = []
    async with lock:
        # Looked at again: another bootstrap may have done it meanwhile.
        for change in await _changes(release, dataset, bq, await lock.read_version()):
            await lock.renew()
            await _apply(change, dataset, bq)
            if change.version is not None:
                await lock.record(change.version, change.what)
            done.append(change.what)
    return done


async def preview(settings: ServiceSettings, bq: BigQuery) -> list[Change]:
    """What `bootstrap` would do to the dataset's tables and views. Changes nothing."""
    release, dataset, lock = _parts(settings, bq)
    if not await dataset.exists():
        return release.changes({}, version=0, dataset=bq.control())
    version = await lock.read_version() if await dataset.find([STATE]) else 0
    return await _changes(release, dataset, bq, version)


def _parts(settings: ServiceSettings, bq: BigQuery) -> tuple[Release, ControlDataset, SchemaLock]:
    release = Release.load(settings.configs_dir, report_days=settings.report_days)
    return release, ControlDataset(bq, location=settings.location), SchemaLock(bq)


async def _changes(release: Release, dataset: ControlDataset, bq: BigQuery, version: int) -> list[Change]:
    found = await dataset.find([*release.tables, *release.views])
    return release.changes(found, version=version, dataset=bq.control())


async def _apply(change: Change, dataset: ControlDataset, bq: BigQuery) -> None:
    if change.expires is not None:
        await dataset.expire(*change.expires)
    else:
        await bq.query(change.block, {}, dataset=bq.control(), seconds=SECONDS)


def without_comments(sql: str) -> str:
    """For a reader who wants to see what is done, in short."""
    return "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--")).strip()


async def main(arguments: Sequence[str] | None = None) -> None:
    """The command line entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m services.platform.bootstrap", description="Brings the control dataset up to this release."
    )
    parser.add_argument("--dry-run", action="store_true", help="print the statements that it would send, and change nothing")
    is_dry = parser.parse_args(arguments).dry_run
    settings = read(ServiceSettings)
    log.configure("bootstrap", settings.log_level, project=settings.project)
    log.warn_of_unknown_settings(os.environ)
    async with BigQuery(settings, service="bootstrap") as bq:
        if is_dry:
            changes = await preview(settings, bq)
            print("\n".join(f"-- {change.what}\n{without_comments(change.block.sql)};\n" for change in changes))
            print(f"-- {bq.control()}: {len(changes)} statements; nothing was changed")
        else:
            made = await bootstrap(settings, bq)
            print(f"{bq.control()}: {', '.join(made) if made else 'up to date'}")


if __name__ == "__main__":
    asyncio.run(main())
