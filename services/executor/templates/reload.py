"""Reloads the catalog when files change: a new or corrected template needs no restart."""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from services.executor.templates.catalog import Catalog, carried_over, load_catalog
from services.executor.templates.faults import Fault
from services.executor.templates.name import PipelineName
from services.executor.templates.step import SHARED, StepType
from services.executor.templates.template import Template
from services.platform import metrics
from services.platform.metrics.runs import expect
from services.platform.periodic import Periodic

FILES = ("*/*/*.yml", "*/*/*.sql", f"{SHARED}/*.sql")
"""Templates, their SQL, the shared SQL, and the DDL; symbolic links are followed."""

_log = structlog.get_logger()


class ReloadingCatalog:
    """Polls mtime and size every `poll_seconds` and reloads all templates on a change. Running runs keep their template."""

    def __init__(self, configs: Path, step_types: Mapping[str, StepType], *, poll_seconds: float) -> None:
        """Loads the templates. Raises ValueError for unreadable DDL."""
        self._configs, self._step_types = configs, step_types
        self._periodic = Periodic("templates", (self._look, poll_seconds))
        self._seen = _stamps(configs)
        self._now = load_catalog(configs, step_types)
        _tell(self._now)

    @property
    def templates(self) -> Mapping[PipelineName, Template]:
        """Those that can be run."""
        return self._now.templates

    def faults_of(self, name: PipelineName) -> tuple[Fault, ...]:
        """Why this template cannot be run; empty for one that can, and for one that does not exist."""
        return self._now.faults_of(name)

    async def __aenter__(self) -> Self:
        await self._periodic.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._periodic.__aexit__(kind, error, trace)

    async def _look(self) -> None:
        try:
            # Taken before the files are read: a change in between triggers another reload.
            stamps = await asyncio.to_thread(_stamps, self._configs)
            if stamps != self._seen:
                found = await asyncio.to_thread(load_catalog, self._configs, self._step_types)
                self._now, self._seen = carried_over(self._now, found), stamps
                _tell(self._now)
        except (ValueError, OSError) as error:  # the operator reads it in the log; the files are checked again
            _log.error("templates_unreadable", problem=str(error))


def _tell(catalog: Catalog) -> None:
    metrics.TEMPLATES.labels("good").set(len(catalog.templates))
    metrics.TEMPLATES.labels("broken").set(len(catalog.broken))
    expect({name.provider for name in catalog.templates}, [name.hyphenated for name in catalog.templates])
    for error in catalog.broken.values():
        _log.error("template_broken", problem=str(error))
    _log.info("templates_read", templates=[name.path for name in sorted(catalog.templates)])


def _stamps(configs: Path) -> dict[str, tuple[int, int]]:
    """Each file's mtime in ns and size in bytes."""
    found = dict[str, tuple[int, int]]()
    for path in (path for pattern in FILES for path in configs.glob(pattern)):
        with contextlib.suppress(FileNotFoundError):
            stat = path.stat()
            found[str(path)] = (stat.st_mtime_ns, stat.st_size)
    return found
