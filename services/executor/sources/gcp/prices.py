"""What reading an export costs a tenant at Google Cloud."""

from dataclasses import dataclass
from typing import Self

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
