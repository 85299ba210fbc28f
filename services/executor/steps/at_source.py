"""How a step uses a tenant's source: opened for it with the tenant's credentials, used in a worker thread, closed."""

from collections.abc import Callable

from services.executor.sources.source import CheckCancelled, Source, SourceType
from services.executor.templates.step import StepContext


async def at_source[Answer](context: StepContext, source_type: SourceType, use: Callable[[Source, CheckCancelled], Answer]) -> Answer:
    """What `use(source, check_cancelled)` answers, in a worker; the source is closed after it. Raises StepError; Unavailable."""
    source = await context.tools.sources.open(context.run.tenant_id, source_type)

    def work(check_cancelled: CheckCancelled) -> Answer:
        try:
            return use(source, check_cancelled)
        finally:
            source.close()

    return await context.tools.workers.run(work)
