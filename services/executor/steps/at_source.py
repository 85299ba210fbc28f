"""Lets a step use a tenant's source: opens it with the tenant's credentials, uses it in a worker thread, and closes it."""

from collections.abc import Callable

from services.executor.sources.source import CheckCancelled, Source, SourceType
from services.executor.templates.step import StepContext


async def at_source[Answer](context: StepContext, source_type: SourceType, use: Callable[[Source, CheckCancelled], Answer]) -> Answer:
    """The result of `use(source, check_cancelled)`, called in a worker; closes the source afterwards. Raises StepError; Unavailable."""
    source = await context.tools.sources.open(
        context.run.tenant_id, source_type, context.meter, session=context.run.pipeline_logging_id, since=context.requested_at
    )

    def work(check_cancelled: CheckCancelled) -> Answer:
        try:
            return use(source, check_cancelled)
        finally:
            source.close()

    return await context.tools.workers.run(work)
