"""What reading an export costs a tenant at Google Cloud."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from google.cloud.bigquery_storage_v1 import types

from services.executor.metering.cap import CapExceeded
from services.executor.metering.meter import Reading, StepMeter
from services.executor.settings import ExecutorSettings
from services.platform.bigquery.prices import TIB, query_cost


@dataclass(frozen=True, kw_only=True, slots=True)
class GcpPrices:
    """US dollars per TiB."""

    query: float
    storage_read: float

    @classmethod
    def of(cls, settings: ExecutorSettings) -> Self:
        """From the executor's settings."""
        return cls(query=settings.query_usd_per_tib, storage_read=settings.storage_read_usd_per_tib)

    def reading(self, size: int, *, by_query: bool) -> float:
        """The cost in US dollars of reading `size` bytes, by a query job or through the Storage Read API."""
        return query_cost(size, usd_per_tib=self.query) if by_query else size / TIB * self.storage_read


class GcpMeter:
    """The meter of a step at Google's prices: for what is read in the tenant's project, at the tenant's expense."""

    def __init__(self, meter: StepMeter | None = None, prices: GcpPrices | None = None) -> None:
        """Without arguments: no cap, and the counts are dropped."""
        self._meter, self._prices = meter or StepMeter(), prices or GcpPrices(query=0.0, storage_read=0.0)

    @property
    def labels(self) -> Mapping[str, str]:
        """For query jobs."""
        return self._meter.labels

    def session(self, session: types.ReadSession) -> Reading:
        """Allows reading the session, by BigQuery's estimate. Raises CapExceeded."""
        return self._meter.allow(session.estimated_total_bytes_scanned, usd_per_tib=self._prices.storage_read)

    def free(self) -> Reading:
        """For a session on the result of a query, which is paid for by the query."""
        return StepMeter().allow(0, usd_per_tib=0.0)

    def max_query_bytes(self, most: int | None = None) -> int | None:
        """The most that a query may read, at most `most`; None: no limit. Raises CapExceeded if it may read nothing."""
        return min((limit for limit in (most, self._meter.max_bytes_read(self._prices.query)) if limit is not None), default=None)

    def count(self, job: Any) -> None:
        """Counts a query job, once it is done."""
        billed, slot_ms = job.total_bytes_billed or 0, job.slot_millis or 0
        self._meter.add_read_job(job.job_id, bytes_billed=billed, slot_ms=slot_ms, usd_per_tib=self._prices.query)

    def refused(self, needed: int) -> CapExceeded:
        """The error for a query that BigQuery refused because it would have read this much."""
        return self._meter.refused_read(needed, usd_per_tib=self._prices.query)
