"""UsageService: decode, call the store, encode."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import grpc
from convergence.auth.v1 import usage_service_pb2 as messages
from convergence.auth.v1.usage_service_pb2_grpc import UsageServiceServicer

from services.auth.store import AuthStore, EndedRuns
from services.platform.clock import Clock, utc_day
from services.platform.errors import InvalidArgument
from services.platform.rpc.paging import from_key_token, page_size, to_key_token

type Context = grpc.aio.ServicerContext[Any, Any]

MAX_DAYS = 92
"""Rows of the ledger are kept for 90 days."""


class UsageServicer(UsageServiceServicer):
    """UsageService, as the proto describes it."""

    def __init__(self, store: AuthStore, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def GetUsage(self, request: messages.GetUsageRequest, context: Context) -> messages.GetUsageResponse:
        """Raises InvalidArgument."""
        first, last = days_of(request.start_date, request.end_date, today=utc_day(self._clock.now()))
        days = await self._store.usage_by_day(request.tenant_id, first, last)
        return messages.GetUsageResponse(
            tenant_id=request.tenant_id,
            start_date=first.isoformat(),
            end_date=last.isoformat(),
            days=[messages.DayUsage(usage_date=day.isoformat(), usage=_usage([used])) for day, used in days.items()],
            total=_usage(days.values()),
        )

    async def ListUsage(self, request: messages.ListUsageRequest, context: Context) -> messages.ListUsageResponse:
        """Raises InvalidArgument."""
        first, last = days_of(request.start_date, request.end_date, today=utc_day(self._clock.now()))
        size = page_size(request.page_size)
        # One more than requested, to know whether there is a next page.
        total, found = await self._store.usage_by_tenant(first, last, after=from_key_token(request.page_token), limit=size + 1)
        page = list(found.items())[:size]
        return messages.ListUsageResponse(
            start_date=first.isoformat(),
            end_date=last.isoformat(),
            tenants=[messages.TenantUsage(tenant_id=tenant_id, usage=_usage([used])) for tenant_id, used in page],
            total=_usage([total]),
            next_page_token=to_key_token(page[-1][0]) if len(found) > size else "",
        )


def days_of(start_date: str, end_date: str, *, today: date) -> tuple[date, date]:
    """The first and the last day to report: by default the month of the last one up to it, and today. Raises InvalidArgument."""
    last = _day("end_date", end_date) if end_date else today
    first = _day("start_date", start_date) if start_date else last.replace(day=1)
    if first > last:
        raise InvalidArgument("start_date", f"use a day that is not after the last one, {last}.")
    if last - first >= timedelta(days=MAX_DAYS):
        raise InvalidArgument("start_date", f"ask for at most {MAX_DAYS} days; usage is kept for 90.")
    return first, last


def _day(field: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidArgument(field, "use a date, YYYY-MM-DD.") from None


def _usage(parts: Iterable[EndedRuns]) -> messages.Usage:
    parts = list(parts)
    return messages.Usage(
        runs=sum(one.runs for one in parts),
        bytes_billed=sum(one.bytes_billed for one in parts),
        bytes_read=sum(one.bytes_read for one in parts),
        slot_ms=sum(one.slot_ms for one in parts),
        cost_usd=sum(one.cost_usd for one in parts),
    )
