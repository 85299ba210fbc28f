"""Lets a step use a tenant's source: opens it with the tenant's credentials, uses it in a worker thread, and closes it. Says where it was
read across regions: then its rows left the location in which the tenant's cloud keeps them.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from services.executor.sources.source import SOURCE_LOCATION, CheckCancelled, Source, SourceType
from services.executor.templates.step import StepContext

_log = structlog.get_logger()


async def at_source[Answer](
    context: StepContext,
    source_type: SourceType,
    use: Callable[[Source, CheckCancelled], Answer],
    *,
    when_ended_early: Callable[[], None] = lambda: None,
) -> Answer:
    """The result of `use(source, check_cancelled)`, called in a worker; closes the source afterwards. `when_ended_early` is called on the
    event loop once the worker has ended, if it raised, or if its caller was cancelled before. Raises StepError; Unavailable.
    """
    loop = asyncio.get_running_loop()
    source = await context.tools.sources.open(
        context.run.tenant_id, source_type, context.meter, session=context.run.pipeline_logging_id, since=context.requested_at
    )

    def work(check_cancelled: CheckCancelled) -> Answer:
        try:
            answer = use(source, check_cancelled)
            check_cancelled()
        except BaseException:
            with suppress(RuntimeError):  # the process ends, and its loop has
                loop.call_soon_threadsafe(when_ended_early)
            raise
        finally:
            source.close()
        return answer

    return await context.tools.workers.run(work)


async def read_across(context: StepContext, origin: Mapping[str, object]) -> Mapping[str, str]:
    """For the step's metadata and the log; empty if the export is where the tenant's dataset is, or its place is not known."""
    tenant_id, bq, source = context.run.tenant_id, context.tools.bq, origin.get(SOURCE_LOCATION)
    if source is None or source == (location := await bq.locations.of(bq.tenant(tenant_id))):
        return {}
    _log.info("export_read_across_regions", tenant_id=tenant_id, source_location=source, location=location)
    return {
        "read_across": f"The export is in {source} and this tenant's data are in {location}, so its rows are read across regions. Google "
        "Cloud may charge the project of the credentials for that transfer."
    }
