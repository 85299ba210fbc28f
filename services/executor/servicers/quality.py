"""QualityService: decode, call the store, encode."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import grpc
from convergence.executor.v1 import quality_service_pb2 as messages
from convergence.executor.v1.quality_service_pb2_grpc import QualityServiceServicer

from services.executor.quality.store import QualityStore, RunVerdict, VerdictFilter
from services.executor.servicers.from_request import to_day, to_pipeline
from services.executor.servicers.to_proto import to_dq_result
from services.platform.clock import Clock, utc_day
from services.platform.errors import InvalidArgument
from services.platform.rpc.paging import from_token, page_size, to_token

type Context = grpc.aio.ServicerContext[Any, Any]

MOST_DAYS: Final = 92
USUAL_DAYS: Final = 30
"""Days before the last one, where the request names no first one."""
STATUSES: Final = ("PASSED", "FAILED")


class QualityServicer(QualityServiceServicer):
    """QualityService, as the proto describes it."""

    def __init__(self, store: QualityStore, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def ListQualityResults(
        self, request: messages.ListQualityResultsRequest, context: Context
    ) -> messages.ListQualityResultsResponse:
        """Raises InvalidArgument, Unavailable."""
        size, pipeline = page_size(request.page_size), to_pipeline(request.pipeline)
        first, last = days_of(request.start_date, request.end_date, today=utc_day(self._clock.now()))
        if request.status and request.status not in STATUSES:
            raise InvalidArgument("status", f"use one of {', '.join(STATUSES)}.")
        wanted = VerdictFilter(
            executed_from=datetime.combine(first, time(), UTC),
            executed_before=datetime.combine(last, time(), UTC) + timedelta(days=1),
            pipeline_id=pipeline.pipeline_id(request.tenant_id) if pipeline else None,
            check_name=request.check_name or None,
            status=request.status or None,
            after=from_token(request.page_token),
        )
        # One more than requested, to know whether there is a next page.
        found = await self._store.list_verdicts(request.tenant_id, wanted, limit=size + 1)
        last_one = found[size - 1].verdict if len(found) > size else None
        return messages.ListQualityResultsResponse(
            results=[_to_proto(one) for one in found[:size]],
            next_page_token=to_token(last_one.executed_at, last_one.dq_result_id) if last_one else "",
        )


def days_of(start_date: str, end_date: str, *, today: date) -> tuple[date, date]:
    """The first and the last day to list. Raises InvalidArgument."""
    last = to_day(end_date, "end_date") or today
    first = to_day(start_date, "start_date") or last - timedelta(days=USUAL_DAYS)
    if first > last:
        raise InvalidArgument("start_date", f"use a day that is not after the last one, {last}.")
    if last - first >= timedelta(days=MOST_DAYS):
        raise InvalidArgument("start_date", f"ask for at most {MOST_DAYS} days.")
    return first, last


def _to_proto(one: RunVerdict) -> messages.QualityResult:
    return messages.QualityResult(
        pipeline_logging_id=one.verdict.pipeline_logging_id, pipeline_id=one.pipeline_id, dq_result=to_dq_result(one.verdict)
    )
