"""A tenant's own Google Cloud, seen with the tenant's own service account.

The account signs its own JWT, so no token is fetched from anywhere, and the identity that BigQuery sees, real or emulated, is the tenant's.
All calls here block: they belong into a worker thread.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import grpc
import pyarrow as pa
from google.api_core import exceptions as google
from google.auth import exceptions as google_auth
from google.auth.credentials import Credentials
from google.auth.transport.requests import Request
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport
from google.oauth2 import service_account

from services.executor.exports import PREFIX, TableName
from services.executor.failures import StepFailed
from services.executor.period import Period
from services.platform.settings import ServiceSettings
from services.platform.transient import is_transient

SECONDS = 30.0
RETRY = DEFAULT_RETRY.with_timeout(SECONDS)
"""The client's own default goes on for ten minutes."""
_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address; never called, but the library wants one
_SCOPES = ("https://www.googleapis.com/auth/bigquery",)
"""The narrowest that the Storage Read API takes; what the account may do is a matter of its roles."""
_ROLES = "BigQuery Data Viewer on the export's dataset and BigQuery Read Session User on the project"


@dataclass(frozen=True, kw_only=True, slots=True)
class GcpCredentials:
    """What a tenant has given us for Google Cloud. Lives as long as one run."""

    project_id: str
    service_account: dict[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What a read session says that it would read."""

    size: int
    """Bytes, uncompressed."""
    rows: int
    """Before any row is left out, so at most that many; 0 if BigQuery does not tell."""


class TenantCloud:
    """One tenant's BigQuery, for one run."""

    def __init__(self, credentials: GcpCredentials, settings: ServiceSettings) -> None:
        """Raises StepFailed if the service account's key cannot be used."""
        self.project = credentials.project_id
        try:
            # Its own token_uri is never used: a tenant must not choose whom we talk to.
            info = {**credentials.service_account, "token_uri": _TOKEN_URI}
            account = service_account.Credentials.from_service_account_info(info, scopes=_SCOPES)  # type: ignore[no-untyped-call]
            identity = _SelfSigned(account.with_always_use_jwt_access(True))  # noqa: FBT003 - its own signature
        except (ValueError, KeyError, google_auth.GoogleAuthError):
            raise StepFailed("The stored service account cannot be used: its key does not parse. Set the GCP credentials again.") from None
        host = settings.bigquery_emulator_host
        self._client = bigquery.Client(project=self.project, credentials=identity, client_options={"api_endpoint": host} if host else None)
        self._reader = _reader(identity, settings.bigquery_storage_emulator_host)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()  # type: ignore[no-untyped-call]
        self._reader.transport.close()

    def exports(self, checkpoint: Callable[[], None]) -> list[TableName]:
        """All tables `gcp_billing_export_*` of the project, in the datasets that the account can see; `checkpoint` is called for each.
        Raises StepFailed.
        """
        with _told(f"project {self.project}"):
            found = list[TableName]()
            for dataset in self._client.list_datasets(timeout=SECONDS, retry=RETRY):
                checkpoint()
                found += [
                    TableName(project=self.project, dataset=dataset.dataset_id, table=table.table_id)
                    for table in self._client.list_tables(dataset.reference, timeout=SECONDS, retry=RETRY)
                    if table.table_id.startswith(PREFIX) and table.table_type == "TABLE"
                ]
            return found

    def read(self, table: TableName, columns: pa.Schema | None, period: Period) -> Iterator[pa.RecordBatch]:
        """The rows whose usage began on a day (UTC) of `period`, in batches, with those of `columns` that the table has; None: all
        of them, so that what Google adds to its exports is read from the first day on. Raises StepFailed.

        The columns are whole ones: the emulator drops a column of which only a leaf is selected.
        """
        with _told(f"table {table}"):
            session = self._session(table, columns, period)
            schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
            # One after the other: memory is bounded by one batch, however many streams the day comes in.
            for stream in session.streams:
                for answer in self._reader.read_rows(stream.name):
                    yield pa.ipc.read_record_batch(pa.py_buffer(answer.arrow_record_batch.serialized_record_batch), schema)

    def estimate(self, table: TableName, columns: pa.Schema | None, period: Period) -> Estimate:
        """What `read` would send, asked the same way and of the same rights. Raises StepFailed."""
        with _told(f"table {table}"):
            session = self._session(table, columns, period)
            return Estimate(size=session.estimated_total_bytes_scanned, rows=session.estimated_row_count)

    def _session(self, table: TableName, columns: pa.Schema | None, period: Period) -> types.ReadSession:
        found = self._client.get_table(str(table), timeout=SECONDS, retry=RETRY)
        known = {column.name for column in found.schema}
        if missing := {"usage_start_time", "cost"} - known:
            raise StepFailed(f"Table {table} is no billing export: it has no column {' and no '.join(sorted(missing))}.")
        options = types.ReadSession.TableReadOptions(
            selected_fields=[] if columns is None else [name for name in columns.names if name in known],
            row_restriction=restriction(period, by_ingestion=is_by_ingestion(found)),
        )
        session: types.ReadSession = self._reader.create_read_session(
            parent=f"projects/{self.project}",
            read_session=types.ReadSession(
                table=f"projects/{table.project}/datasets/{table.dataset}/tables/{table.table}",
                data_format=types.DataFormat.ARROW,
                read_options=options,
            ),
            timeout=SECONDS,
        )
        return session


def restriction(period: Period, *, by_ingestion: bool) -> str:
    """Which rows the Storage Read API shall send. Dates, not strings of a caller: nothing here needs quoting.

    `by_ingestion`: the table is partitioned by the time at which rows arrived, as exports are. No row arrives before its usage, though it
    may arrive weeks after it: so older partitions are not read, and a run's cost does not grow with the history. A day is left for clocks.
    """
    rows = f"usage_start_time >= TIMESTAMP '{period.first}' AND usage_start_time < TIMESTAMP '{period.last + timedelta(days=1)}'"
    # NULL: rows that were streamed a moment ago have no partition yet.
    since = f"(_PARTITIONTIME >= TIMESTAMP '{period.first - timedelta(days=1)}' OR _PARTITIONTIME IS NULL)"
    return f"{since} AND {rows}" if by_ingestion else rows


def is_by_ingestion(table: bigquery.Table) -> bool:
    """Whether a table is partitioned by the day or hour in which its rows arrived (BigQuery, "Ingestion-time partitioning"): it names no
    column. Of months and years a partition's time is its first day, which may lie before the rows' usage.
    """
    partitioning = table.time_partitioning
    return partitioning is not None and partitioning.field is None and partitioning.type_ in {"DAY", "HOUR"}


class _SelfSigned(Credentials):
    """A service account that signs its JWTs itself, and nothing more: Google's own class also looks up, in the background and at an address
    of its own, which locations the account may use.
    """

    def __init__(self, account: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._account = account

    def refresh(self, request: Any) -> None:
        """See google.auth.credentials.Credentials. No I/O."""
        self._account.refresh(request)
        self.token, self.expiry = self._account.token, self._account.expiry


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turns what Google's clients raise into words for the tenant; never Google's own text, which may quote requests."""
    try:
        yield
    except (google.Forbidden, google.Unauthorized, google.PermissionDenied, google.Unauthenticated) as error:
        raise StepFailed(f"Google Cloud refused the service account on {what}. Grant it {_ROLES}.") from error
    except google.NotFound as error:
        raise StepFailed(f"Google Cloud finds no {what}. Check its name, and the project_id of the credentials.") from error
    except google_auth.RefreshError as error:
        raise StepFailed("Google Cloud does not accept the service account's key. Set the GCP credentials again.") from error
    except (google.GoogleAPICallError, google_auth.GoogleAuthError, OSError) as error:
        if is_transient(error):
            raise StepFailed(f"BigQuery did not answer when asked for {what}. Run it again in a moment.", can_heal=True) from error
        raise StepFailed(f"Google Cloud could not read {what}.") from error


def _reader(identity: Any, emulator: str | None) -> Any:
    if not emulator:
        return BigQueryReadClient(credentials=identity)  # type: ignore[no-untyped-call]
    address = urlsplit(emulator).netloc if "//" in emulator else emulator
    channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
    transport = BigQueryReadGrpcTransport(channel=grpc.intercept_channel(channel, _Identity(identity)))
    return BigQueryReadClient(transport=transport)  # type: ignore[no-untyped-call]


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Identity(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):  # type: ignore[misc]  # untyped upstream
    """Sends the account's JWT over a channel without TLS, where gRPC itself would not: the emulator shall know who reads, too."""

    def __init__(self, identity: Any) -> None:
        self._identity = identity

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        """See grpc.UnaryUnaryClientInterceptor."""
        return continuation(self._signed(client_call_details), request)

    def intercept_unary_stream(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        """See grpc.UnaryStreamClientInterceptor."""
        return continuation(self._signed(client_call_details), request)

    def _signed(self, details: Any) -> _Details:
        if not self._identity.valid:
            self._identity.refresh(Request())
        metadata = [*(details.metadata or ()), ("authorization", f"Bearer {self._identity.token}")]
        return _Details(
            details.method,
            details.timeout,
            metadata,
            details.credentials,
            getattr(details, "wait_for_ready", None),
            getattr(details, "compression", None),
        )
