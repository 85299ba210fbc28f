"""QuotaService: decode, call the domain, encode."""

from datetime import datetime
from typing import Any

import grpc
from convergence.auth.v1 import (
    quota_service_pb2,
    quota_service_pb2_grpc,
)

from services.auth.ledger import Ledger
from services.auth.quota import Usage, left, next_day, next_month, next_run
from services.platform.clock import Clock
from services.platform.timestamps import to_timestamp

type Context = grpc.aio.ServicerContext[Any, Any]


class QuotaServicer(quota_service_pb2_grpc.QuotaServiceServicer):
    """QuotaService, as the proto describes it."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def GetQuota(self, request: quota_service_pb2.GetQuotaRequest, context: Context) -> quota_service_pb2.GetQuotaResponse:
        """Raises Unavailable if BigQuery does not answer."""
        return to_quota(await self._ledger.usage(request.tenant_id), self._clock.now())

    async def ResetDailyQuotas(
        self, request: quota_service_pb2.ResetDailyQuotasRequest, context: Context
    ) -> quota_service_pb2.ResetDailyQuotasResponse:
        """Flow 3C. Raises Unavailable if BigQuery does not answer."""
        reset = await self._ledger.reset()
        return quota_service_pb2.ResetDailyQuotasResponse(
            status="success",
            records_updated=reset.records_updated,
            records_archived=reset.records_archived,
            message=f"Reset {reset.records_updated} daily quotas, archived {reset.records_archived} old records",
            executed_at=to_timestamp(reset.executed_at),
        )


def to_quota(usage: Usage, now: datetime) -> quota_service_pb2.GetQuotaResponse:
    """A tenant's usage as an answer."""
    refusing, message = next_run(usage, now)
    return quota_service_pb2.GetQuotaResponse(
        tenant_id=usage.tenant_id,
        usage_date=usage.usage_date.isoformat(),
        pipelines_run_today=usage.pipelines_run_today,
        pipelines_succeeded_today=usage.pipelines_succeeded_today,
        pipelines_failed_today=usage.pipelines_failed_today,
        pipelines_run_month=usage.pipelines_run_month,
        concurrent_pipelines_running=usage.concurrent_pipelines_running,
        daily_limit=usage.daily_limit,
        monthly_limit=usage.monthly_limit,
        concurrent_limit=usage.concurrent_limit,
        remaining_today=left(usage.pipelines_run_today, usage.daily_limit),
        remaining_this_month=left(usage.pipelines_run_month, usage.monthly_limit),
        free_slots=left(usage.concurrent_pipelines_running, usage.concurrent_limit),
        daily_resets_at=to_timestamp(next_day(now)),
        monthly_resets_at=to_timestamp(next_month(now)),
        refusing_limit=refusing or "",
        message=message,
        cost_usd_month=usage.cost_usd_month,
        monthly_cost_limit_usd=usage.monthly_cost_limit_usd,
        remaining_cost_usd_this_month=left(usage.cost_usd_month, usage.monthly_cost_limit_usd),
    )
