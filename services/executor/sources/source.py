"""What an extract step reads: a tenant's own billing data, in whatever cloud it is exported to.

A cloud is a folder beside this file that offers a SourceType; `registry` is the one place that knows which clouds there are. The step
(`steps.extract`) opens a source, finds the export that a run reads, and estimates or reads it. Everything else is the cloud's own: how the
export is found (a table by its name, a manifest by its key), what it is read with (a read session, files of Parquet or CSV), how its rows
become those of the staging table, what reading costs, and every word to the tenant about it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from services.executor.records import Period
from services.executor.settings import ExecutorSettings

type CheckCancelled = Callable[[], None]
"""Raises if the run is over. Whoever blocks for long calls it now and then, for a thread cannot be stopped from outside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadRequest:
    """What a run asks a source for."""

    parameters: Mapping[str, object]
    """The template's, and what the steps before this one have found out, by name: a manifest that was read before, say."""
    period: Period | None
    """The days of the run; None if its template is not run for days. What a source replaces may be more: a billing period is replaced
    whole, and its days are then outputs of the export.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What reading an export would take."""

    bytes_read: int
    """All that is read, also to find the export."""
    staged_bytes: int
    """Of it, what would be in the staging table."""
    rows: int
    """At most that many; 0 if the source does not know."""
    cost_usd: float
    """By the source's own prices."""


class Export(Protocol):
    """What a source found for a run; it is estimated or read, once. Its calls block."""

    @property
    def origin(self) -> Mapping[str, Any]:
        """Which data it is, and why: for the step's log line. JSON values, no secrets."""
        ...

    def estimate(self) -> Estimate:
        """What `read` would read, by the same calls with the same rights. Raises StepError."""
        ...

    def read(self, staged: pa.Schema, check_cancelled: CheckCancelled) -> Iterator[pa.Table]:
        """All rows, with the columns `staged`; some ten thousand at a time, for each table becomes a row group. Raises StepError, also at
        the end, if the export has changed while it was read; what `check_cancelled` raises, which is called between batches.
        """
        ...

    def outputs(self) -> Mapping[str, object]:
        """What SourceType.outputs promises, once `read` has come to its end: counted and added up from the source's own rows, before
        they became staged ones, so that checks can hold the staging table against them.
        """
        ...


class Source(Protocol):
    """A tenant's billing data, opened with the tenant's own credentials for one run. Its calls block: they belong into a worker thread."""

    def find(self, request: ReadRequest, check_cancelled: CheckCancelled) -> Export:
        """What the run reads. Raises StepError, saying what to do, if there is nothing to read; what `check_cancelled` raises."""
        ...

    def close(self) -> None:
        """Closes the connections."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceType:
    """A cloud's kind of source, as templates and the step know it before one is opened."""

    provider: str
    """Upper-case, as credentials are kept."""
    parameters: Mapping[str, str]
    """That a template must declare for it: name to type of parameter."""
    reads_days: bool
    """Whether a template must be run for days."""
    outputs: Mapping[str, str]
    """What an export finds out, name to GoogleSQL type: a template's checks and SQL may use them."""
    open: Callable[[bytes, ExecutorSettings], Source]
    """A source, by what the tenant has set as credentials, in the clear. No I/O. Raises StepError if they cannot be used."""


class Sources(Protocol):
    """Opens tenants' sources."""

    async def open(self, tenant_id: str, source_type: SourceType) -> Source:
        """The tenant's own, for one run; the caller closes it. Raises StepError; Unavailable from KMS or a peer."""
        ...
