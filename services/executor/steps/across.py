"""Says that an export was read across regions: its rows left the location where the tenant's cloud keeps them."""

from collections.abc import Mapping

import structlog

from services.executor.sources.source import SOURCE_LOCATION
from services.executor.templates.step import StepContext

_log = structlog.get_logger()


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
