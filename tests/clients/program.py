"""A backend's calls, typed by what openapi-python-client makes of gen/openapi.json. It is type-checked, not run."""

import datetime as dt

from convergence_rest import AuthenticatedClient
from convergence_rest.api.pipelines import get_run, list_runs, run_pipeline
from convergence_rest.models import (
    Error,
    ErrorInfo,
    ErrorReason,
    GcpCostBillingParameters,
    ListRunsResponse,
    Run,
    RunPipelineResponse,
    RunStatus,
)
from convergence_rest.types import Unset

client = AuthenticatedClient(base_url="http://127.0.0.1:8080", token="...", prefix="", auth_header_name="X-API-Key")


def reason_of(error: Error) -> ErrorReason | None:
    """Errors are decided on by their reason."""
    return next((detail.reason for detail in error.details if isinstance(detail, ErrorInfo)), None)


def start(tenant_id: str, day: dt.date) -> str:
    """Starts a run, once, however often it is sent."""
    answer = run_pipeline.sync(
        tenant_id,
        "gcp",
        "cost",
        "billing",
        client=client,
        body=GcpCostBillingParameters(date=day, accept_less=False),
        idempotency_key="3f6d2f0e-7a0c-4c8e-9d43-0d6c1d8f5a11",
    )
    if isinstance(answer, RunPipelineResponse):
        return answer.pipeline_logging_id
    raise RuntimeError(reason_of(answer) if isinstance(answer, Error) else "no answer")


def rows_of(tenant_id: str, run: str) -> int | None:
    """What is always there need not be checked; what may be absent has to be looked at."""
    found = get_run.sync(tenant_id, run, client=client)
    if not isinstance(found, Run) or found.status is not RunStatus.COMPLETED:
        return None
    return None if isinstance(found.rows_processed, Unset) else int(found.rows_processed)


async def failed(tenant_id: str) -> list[str]:
    """A page of failed runs."""
    page = await list_runs.asyncio(tenant_id, client=client, status=RunStatus.FAILED, page_size=200)
    return [run.pipeline_logging_id for run in page.runs] if isinstance(page, ListRunsResponse) else []
