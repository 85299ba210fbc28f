"""What a tenant's BigQuery says about its tables: listings, estimates, and sums of some columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from threading import Lock
from typing import Final

from google.api_core import exceptions as google
from google.cloud import bigquery

from services.clouds.gcp.refusals import lacks_role
from services.executor.errors import StepError
from services.executor.sources.gcp.export_days import Days
from services.executor.sources.gcp.export_rows import DayTotals
from services.executor.sources.gcp.exports import Listed, TableName
from services.executor.sources.gcp.query_jobs import RETRY, SECONDS

LISTED_AT_ONCE: Final = 4
"""Datasets of a project whose tables are listed at the same time, each by a thread."""
MOST_GUESSED: Final = 20
"""Datasets of a project that are remembered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableEstimate:
    """The estimate of reading a table."""

    size: int
    """Bytes, uncompressed."""
    rows: int
    """An upper bound, before rows are filtered; 0 if BigQuery does not say, as for views."""
    by_query: bool = False
    """True for a view, which is read by a query job and not by the Storage Read API."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The tables of a project."""

    tables: list[Listed]
    """Views, and tables whose names look like billing data."""
    hidden: list[str]
    """Datasets whose tables the account may not list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """What a project had at the last run."""

    datasets: tuple[str, ...] = ()
    """Those with exports first."""
    exports: tuple[TableName, ...] = ()


class Guesses:
    """Says what to ask a project about first. It is only a guess: a run uses only what it has asked for itself, with the tenant's own
    rights.
    """

    def __init__(self, *, size: int) -> None:
        """`size`: projects."""
        self._size, self._last, self._lock = size, dict[str, Guess](), Lock()

    def of(self, project: str) -> Guess:
        """Empty for a project that was not listed before."""
        with self._lock:
            return self._last.get(project, Guess())

    def note(self, project: str, listing: Listing, datasets: Sequence[str]) -> None:
        """For the next time."""
        exports = [one.name for one in listing.tables if one.is_table and one.kind is not None and one.kind.is_usage]
        ordered = dict.fromkeys([*(one.dataset for one in exports), *datasets])
        with self._lock:
            self._last.pop(project, None)
            self._last[project] = Guess(datasets=tuple(ordered)[:MOST_GUESSED], exports=tuple(exports[:LISTED_AT_ONCE]))
            while len(self._last) > self._size:
                del self._last[next(iter(self._last))]


_guesses: Final = Guesses(size=10_000)


def list_tables(client: bigquery.Client, describe: Callable[[TableName], object], check_cancelled: Callable[[], None]) -> Listing:
    """The tables in the datasets of the client's project, as far as the account may see them. Most projects have the same exports as at the
    last run. So these exports are described, and the datasets of the last run are listed, concurrently with the listing of all datasets.
    Calls `check_cancelled` often. Raises the client's errors, but not errors about tables and datasets that no longer exist.
    """
    tables, hidden = list[Listed](), list[str]()

    def listed(dataset: bigquery.DatasetReference) -> list[Listed] | None:
        check_cancelled()
        try:
            return list(_tables_of(client, dataset))
        except google.GoogleAPICallError as error:
            if not lacks_role(error):
                raise
            return None

    def described(table: TableName) -> None:
        with suppress(StepError):
            describe(table)

    guess = _guesses.of(client.project)
    with ThreadPoolExecutor(LISTED_AT_ONCE) as pool:
        for export in guess.exports:
            pool.submit(described, export)
        guessed = {name: pool.submit(listed, bigquery.DatasetReference(client.project, name)) for name in guess.datasets}
        datasets = [one.reference for one in client.list_datasets(timeout=SECONDS, retry=RETRY)]
        asked = [guessed.get(one.dataset_id) or pool.submit(listed, one) for one in datasets]
        for dataset, answer in zip(datasets, asked, strict=True):
            if (found := answer.result()) is None:
                hidden.append(f"{client.project}.{dataset.dataset_id}")
            else:
                tables += found
    listing = Listing(tables=tables, hidden=hidden)
    _guesses.note(client.project, listing, [one.dataset_id for one in datasets])
    return listing


def _tables_of(client: bigquery.Client, dataset: bigquery.DatasetReference) -> Iterator[Listed]:
    for table in client.list_tables(dataset, timeout=SECONDS, retry=RETRY):
        name = TableName(project=table.project, dataset=table.dataset_id, table=table.table_id)
        one = Listed(name=name, type=table.table_type)
        if one.kind is not None or not one.is_table:
            yield one


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportDays:
    """What an export holds for some days."""

    days: Mapping[date, DayTotals]
    """Days without rows are absent."""
    size: int
    """Bytes read, as estimated by BigQuery."""

    @property
    def sizes(self) -> Days:
        """The absolute costs of each day, by currency."""
        return {day: totals.sizes for day, totals in self.days.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportArrivals:
    """The days of the rows that were exported at a moment or later."""

    days: Mapping[date, datetime]
    """The greatest export time of each such day."""
    size: int
    """Bytes read, as estimated by BigQuery."""
