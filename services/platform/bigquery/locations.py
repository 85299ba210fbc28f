"""Where datasets are: a job sees the tables of one location only, so it has to run in that of its tables.

The dataset itself says it, whatever was asked for when it was made. That is a metadata call, which is free and no statement, and it is made
once: a dataset never moves. One that was deleted may have been made again elsewhere, so after a notFound it is asked for again.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from services.platform.bigquery.errors import Forbidden, NotFound
from services.platform.cache import TtlCache

KNOWN_SECONDS = 86_400.0
KNOWN_DATASETS = 100_000


class DatasetLocations:
    """The locations of `project.dataset`s."""

    def __init__(self, read: Callable[[str], Awaitable[str]], *, usual: str, own: Mapping[str, str]) -> None:
        """`read` asks BigQuery. `usual`: where a dataset is that this account may not look at. `own`: datasets that are not asked for."""
        self._read, self._usual, self._own = read, usual, own
        self._known: TtlCache[str, str] = TtlCache(seconds=KNOWN_SECONDS, size=KNOWN_DATASETS)

    async def of(self, dataset: str) -> str:
        """Its location. Raises NotFound if there is no such dataset, and what `read` raises. Concurrent callers share a question."""
        if (own := self._own.get(dataset)) is not None:
            return own
        try:
            return await self._known.get(dataset, self._read)
        except Forbidden:
            return self._usual  # the job itself is answered what it lacks

    @asynccontextmanager
    async def where(self, dataset: str) -> AsyncIterator[str]:
        """Around a job: its location. Raises as `of` does."""
        location = await self.of(dataset)
        try:
            yield location
        except NotFound:
            self._known.drop(dataset)
            raise

    def put(self, dataset: str, location: str) -> None:
        """The caller has seen it."""
        self._known.put(dataset, location)
