"""What a tenant pays Google Cloud for reading an export."""

from dataclasses import dataclass
from typing import Self

from services.executor.settings import ExecutorSettings
from services.platform.bigquery.prices import TIB, query_cost


@dataclass(frozen=True, kw_only=True, slots=True)
class GcpPrices:
    """In US dollars a TiB."""

    query: float
    storage_read: float

    @classmethod
    def of(cls, settings: ExecutorSettings) -> Self:
        """As the executor is set up."""
        return cls(query=settings.query_usd_per_tib, storage_read=settings.storage_read_usd_per_tib)

    def reading(self, size: int, *, by_query: bool) -> float:
        """What reading `size` bytes costs, by a query job or with the Storage Read API."""
        return query_cost(size, usd_per_tib=self.query) if by_query else size / TIB * self.storage_read
