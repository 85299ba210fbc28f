"""A tenant's own BigQuery, read with the tenant's own service account.

BigQuery, real or emulated, sees the tenant's identity. All calls block: run them in a worker thread, or in several at once.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from threading import Lock
from typing import Final, cast

import pyarrow as pa
from google.api_core import exceptions as google
from google.auth import exceptions as google_auth
from google.auth.credentials import Credentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import types

from services.clouds.access import AccessRefused
from services.clouds.gcp.federation import FederatedIdentity
from services.clouds.gcp.identity import GcpCredentials, identity_of, storage_reader
from services.clouds.gcp.refusals import Asked, Role, explain
from services.clouds.own_resources import NOT_YOURS, OwnResources
from services.executor.errors import StepError
from services.executor.records import Period
from services.executor.sources.gcp.export_rows import (
    ARRIVALS,
    TOTALS,
    RowFilter,
    focus_totals,
    is_by_ingestion,
    latest_exports,
    restriction,
    selection,
    totals_by_day,
)
from services.executor.sources.gcp.exports import EXPORTED, TableName, check_usage, is_usage
from services.executor.sources.gcp.found import ExportArrivals, ExportDays, Listing, TableEstimate, list_tables
from services.executor.sources.gcp.prices import GcpMeter
from services.executor.sources.gcp.query_jobs import RETRY, SECONDS, wait_for
from services.executor.sources.gcp.read_streams import READ_STREAMS, checked, read_session
from services.executor.sources.source import DailyTotal
from services.platform.bigquery.errors import bytes_required
from services.platform.settings import ServiceSettings
from services.platform.tracing import tracer
from services.platform.tracing.bigquery import asked

LABELS: Final = {"managed-by": "convergence", "service": "executor", "statement": "read_view"}
FOCUS_LABELS: Final = LABELS | {"statement": "focus_totals"}
_FAILURES = (google.GoogleAPIError, google_auth.GoogleAuthError, OSError)


class GcpBilling:
    """One tenant's BigQuery, for one run."""

    def __init__(
        self,
        credentials: GcpCredentials,
        settings: ServiceSettings,
        meter: GcpMeter | None = None,
        *,
        identity: Credentials | None = None,
        streams: int = READ_STREAMS,
    ) -> None:
        """`meter` counts what is read, and allows it. `identity`: None: that of the service account's key. `streams`: the most of a read
        session that are read at once. Raises AccessRefused if the key cannot be used.
        """
        self.project = credentials.project_id
        self.meter = meter or GcpMeter()
        identity, host = identity or identity_of(credentials.service_account or {}), settings.bigquery_emulator_host
        self._identity, self._streams = identity, streams
        self.client = bigquery.Client(project=self.project, credentials=identity, client_options={"api_endpoint": host} if host else None)
        self._reader = storage_reader(identity, settings.bigquery_storage_emulator_host)
        self._own = OwnResources.of(settings)
        self._tables_seen = dict[TableName, bigquery.Table]()
        self._ahead = dict[tuple[TableName, RowFilter], types.ReadSession]()
        self._refreshing = Lock()

    def close(self) -> None:
        """Closes the connections."""
        self.client.close()  # type: ignore[no-untyped-call]
        self._reader.transport.close()

    def list_tables(self, check_cancelled: Callable[[], None]) -> Listing:
        """The tables in the project's datasets, as far as the account may see them; calls `check_cancelled` for each dataset. Raises
        StepError.
        """
        with self.translate_errors(f"project {self.project}", Role.DATA_VIEWER), asked("list_tables"):
            return list_tables(self.client, self.described, check_cancelled)

    def looks_like_usage(self, table: TableName, check_cancelled: Callable[[], None]) -> bool:
        """True if a table has the columns of a usage cost export; False if the account may not read the schema."""
        check_cancelled()
        try:
            with asked("get_table"):
                return is_usage(_columns(self.client.get_table(str(table), timeout=SECONDS, retry=RETRY)))
        except _FAILURES:
            return False

    def created_at(self, table: TableName) -> datetime | None:
        """When the table, or the view, was created. Raises StepError."""
        created: datetime | None = self.described(table).created
        return created

    def require_export_times(self, table: TableName) -> None:
        """Raises StepError if the table does not say when its rows were exported."""
        found = self.described(table)
        if EXPORTED not in {name.lower() for name in _columns(found)}:
            message = f"{table} has no column {EXPORTED}, so it cannot be seen what has changed in it. Run it for days, by date."
            raise StepError(message)

    def days_of(self, export: TableName, period: Period, check_cancelled: Callable[[], None]) -> ExportDays:
        """The totals of each day in an export, from four of its columns. Raises StepError."""
        session, batches = self._open_rows(export, TOTALS, RowFilter(period=period), check_cancelled)
        with self.translate_errors(f"table {export}", Role.READ_SESSION_USER):
            days = totals_by_day(checked(batches, check_cancelled))
        return ExportDays(days=days, size=session.estimated_total_bytes_scanned)

    def arrivals(self, export: TableName, since: datetime, check_cancelled: Callable[[], None]) -> ExportArrivals:
        """The days of the rows that were exported at `since` or later, from two columns of the newest partitions. Raises StepError."""
        rows = RowFilter(period=None, since=since, is_inclusive=True)
        session, batches = self._open_rows(export, ARRIVALS, rows, check_cancelled)
        with self.translate_errors(f"table {export}", Role.READ_SESSION_USER):
            days = latest_exports(checked(batches, check_cancelled))
        return ExportArrivals(days=days, size=session.estimated_total_bytes_scanned)

    def read(
        self, table: TableName, columns: pa.Schema | None, rows: RowFilter, check_cancelled: Callable[[], None] = lambda: None
    ) -> Generator[pa.RecordBatch]:
        """The rows that pass the filter, in batches and in no order, with those of `columns` that the table has; None: all. Before this
        returns, the read session is open and allowed by the meter; it is read with the first batch. Raises StepError, and what
        `check_cancelled` raises: while a view is queried, and while no batch arrives.

        Columns are selected as a whole: the emulator drops a column of which only a field is selected.
        """
        _, batches = self._open_rows(table, columns, rows, check_cancelled)
        return self._translated(table, batches)

    def open_ahead(self, table: TableName, rows: RowFilter) -> None:
        """Opens the read session of `read` for all columns, which may or may not follow: a session is free, and reads nothing by itself.
        What is wrong with it, `read` says.
        """
        with suppress(StepError), self.translate_errors(f"table {table}", Role.READ_SESSION_USER):
            if (found := self.described(table)).table_type == "TABLE":
                self._ahead[table, rows] = self._session(found, _wanted(found, None), rows)

    def estimate(self, table: TableName, columns: pa.Schema | None, rows: RowFilter) -> TableEstimate:
        """The estimate of `read`, by the same calls with the same rights. Raises StepError."""
        with self.translate_errors(f"table {table}", Role.READ_SESSION_USER):
            found = self.described(table)
            wanted = _wanted(found, columns)
            if found.table_type == "TABLE":
                session = self._session(found, wanted, rows)
                return TableEstimate(size=session.estimated_total_bytes_scanned, rows=session.estimated_row_count)
        with self.translate_errors(f"view {table}", Role.JOB_USER):
            job = self._query(found, wanted, rows, dry_run=True)
            return TableEstimate(size=job.total_bytes_processed or 0, rows=0, by_query=True)

    def focus_size(self, table: TableName, period: Period) -> int:
        """The bytes that `focus_totals` would read. Raises StepError."""
        sql, parameters = focus_totals(table, period)
        with self.translate_errors(f"table {table}", Role.JOB_USER):
            config = bigquery.QueryJobConfig(labels=FOCUS_LABELS, dry_run=True, use_query_cache=False, query_parameters=parameters)
            job = self.begin(sql, config, self._location(table))
            return job.total_bytes_processed or 0

    def focus_totals(self, table: TableName, period: Period, max_bytes: int, check_cancelled: Callable[[], None]) -> list[DailyTotal]:
        """The totals of these days in Google's FOCUS export. The query job fails, free of charge, if it would read more than `max_bytes`.
        Raises StepError; what `check_cancelled` raises.
        """
        sql, parameters = focus_totals(table, period)
        with self.translate_errors(f"table {table}", Role.JOB_USER), asked("focus_totals"):
            most = self.meter.max_query_bytes(max_bytes)
            labels = {**FOCUS_LABELS, **self.meter.labels}
            config = bigquery.QueryJobConfig(labels=labels, maximum_bytes_billed=most, query_parameters=parameters)
            job = self.begin(sql, config, self._location(table))
            wait_for(job, check_cancelled, self.meter)
            rows = list(job.result(timeout=SECONDS, retry=RETRY, job_retry=None))
        return [DailyTotal(day=row["day"], currency=row["currency"], billed_cost=row["billed_cost"] or Decimal()) for row in rows]

    def described(self, table: TableName) -> bigquery.Table:
        """The table as BigQuery describes it, once it is known to be an export. Raises StepError."""
        self.refuse_ours(table)
        if table not in self._tables_seen:
            with self.translate_errors(f"table {table}", Role.DATA_VIEWER), asked("get_table"):
                found = self.client.get_table(str(table), timeout=SECONDS, retry=RETRY)
            check_usage(table, _columns(found))
            self._tables_seen[table] = found
        return self._tables_seen[table]

    def refuse_ours(self, table: TableName) -> None:
        """Raises StepError for a table of this installation."""
        if table.project.lower() in self._own.names:
            raise StepError(f"Table {table} is in a project that {NOT_YOURS}")

    def _open_rows(
        self, table: TableName, columns: pa.Schema | None, rows: RowFilter, check_cancelled: Callable[[], None]
    ) -> tuple[types.ReadSession, Iterator[pa.RecordBatch]]:
        with self.translate_errors(f"table {table}", Role.READ_SESSION_USER):
            found = self.described(table)
            wanted = _wanted(found, columns)
            if found.table_type == "TABLE":
                opened = self._ahead.pop((table, rows), None) if columns is None else None
                session = opened or self._session(found, wanted, rows)
                reading = self.meter.session(session)
            else:
                session = self._session_of_view(found, wanted, rows, check_cancelled)
                reading = self.meter.free()
        return session, read_session(self._reader, session, reading, self._streams, check_cancelled)

    def _translated(self, table: TableName, batches: Iterator[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
        with self.translate_errors(f"table {table}", Role.READ_SESSION_USER):
            yield from batches

    def _session(self, found: bigquery.Table, columns: Sequence[str], rows: RowFilter) -> types.ReadSession:
        restricted = restriction(rows, by_ingestion=is_by_ingestion(found))
        return self._open(found.reference, types.ReadSession.TableReadOptions(selected_fields=columns, row_restriction=restricted))

    def _session_of_view(
        self, found: bigquery.Table, columns: Sequence[str], rows: RowFilter, check_cancelled: Callable[[], None]
    ) -> types.ReadSession:
        """The Storage Read API reads tables only: a query job selects the view's rows into its anonymous result table, which is read."""
        with self.translate_errors(f"view {found.reference}", Role.JOB_USER), asked("read_view"):
            job = self._query(found, columns, rows)
            wait_for(job, check_cancelled, self.meter)
        return self._open(job.destination, types.ReadSession.TableReadOptions())

    def _query(self, found: bigquery.Table, columns: Sequence[str], rows: RowFilter, *, dry_run: bool = False) -> bigquery.QueryJob:
        labels = {**LABELS, **self.meter.labels}
        config = bigquery.QueryJobConfig(labels=labels, dry_run=dry_run, use_query_cache=not dry_run)
        if not dry_run and (most := self.meter.max_query_bytes()) is not None:
            config.maximum_bytes_billed = most
        return self.begin(selection(found.reference, columns, rows), config, found.location)

    def begin(self, sql: str, config: bigquery.QueryJobConfig, location: str | None) -> bigquery.QueryJob:
        """`location`: of the tables that it reads; None: BigQuery finds out."""
        return self.client.query(sql, job_config=config, location=location, timeout=SECONDS, retry=RETRY, job_retry=None)

    def location(self, table: TableName) -> str | None:
        """Where the export is; None if BigQuery does not say. Raises StepError."""
        return cast("str | None", self.described(table).location)

    def _location(self, table: TableName) -> str | None:
        """Where any table is. It is not checked to be an export, as that of FOCUS is none that we read."""
        return cast("str | None", self.client.get_table(str(table), timeout=SECONDS, retry=RETRY).location)

    def _open(self, table: bigquery.TableReference, options: types.ReadSession.TableReadOptions) -> types.ReadSession:
        path, trace = table.path.removeprefix("/"), tracer.trace_id() or ""
        wanted = types.ReadSession(table=path, data_format=types.DataFormat.ARROW, read_options=options, trace_id=trace)
        with asked("create_read_session"):
            session = self._reader.create_read_session(parent=f"projects/{self.project}", read_session=wanted, timeout=SECONDS)
        return cast("types.ReadSession", session)

    @contextmanager
    def translate_errors(self, what: str, role: Role) -> Iterator[None]:
        """Maps Google client errors to StepError; never copies Google's text. A token that has to be fetched is fetched first: gRPC would
        ask again and again if it were refused.
        """
        try:
            if isinstance(self._identity, FederatedIdentity):
                with self._refreshing:
                    self._identity.ready()
            yield
        except AccessRefused as refused:
            raise StepError(refused.message, is_retryable=refused.is_retryable) from refused
        except _FAILURES as error:
            if (needed := bytes_required(error)) is not None:
                raise self.meter.refused(needed) from error
            explained = explain(error, Asked(what=what, project=self.project, role=role))
            raise StepError(explained.message, is_retryable=explained.is_retryable) from error


def _columns(table: bigquery.Table) -> dict[str, str]:
    return {column.name: column.field_type for column in table.schema}


def _wanted(found: bigquery.Table, columns: pa.Schema | None) -> list[str]:
    wanted = None if columns is None else {name.lower() for name in columns.names}
    return [name for name in _columns(found) if wanted is None or name.lower() in wanted]
