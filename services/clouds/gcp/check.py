"""Checks a tenant's access to Google Cloud: the calls of a run up to the opening of a read session, of which nothing is read."""

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from google.api_core import exceptions as google
from google.auth import exceptions as google_auth
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY
from google.cloud.bigquery_storage_v1 import types

from services.clouds.access import CloudEndpoints, TenantAccess
from services.clouds.findings import Finding, FindingStatus
from services.clouds.gcp.identity import GcpCredentials, identity_of, read_gcp, storage_reader
from services.clouds.gcp.refusals import Asked, Role, explain, is_no_identity, setting_of
from services.platform.errors import InvalidArgument
from services.platform.identifiers import TABLE

SECONDS: Final = 10.0
"""Deadline of each call."""
MAX_DATASETS: Final = 10
"""Datasets in which an export is looked for. A run looks in all."""
USAGE_EXPORT: Final = re.compile(r"gcp_billing_export_(resource_)?v1_\w+", re.ASCII)
"""The names of usage cost exports (Cloud Billing, "Billing data tables")."""
USAGE_COLUMNS: Final = frozenset({"cost", "usage_start_time"})
LABELS: Final = {"managed-by": "convergence", "statement": "check_view"}

_RETRY = DEFAULT_RETRY.with_timeout(SECONDS)
_FAILURES = (google.GoogleAPICallError, google_auth.GoogleAuthError, OSError)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Attempt[Answer]:
    """What came of a call."""

    finding: Finding
    answer: Answer | None
    """None: it was refused."""
    is_known: bool = True
    """False: Google does not know who called."""


def check_gcp(access: TenantAccess, export: str | None) -> Generator[Finding]:
    """`export`: a table, `dataset.table` or `project.dataset.table`; None: a usage cost export of the project, if one is seen. Raises as
    AccessCheck does.
    """
    named = TABLE.fullmatch(export) if export else None
    if export and named is None:
        raise InvalidArgument("export", "must be `dataset.table` or `project.dataset.table`.")
    project = _Project(read_gcp(access.plaintext), access.endpoints)
    try:
        if named:
            yield from _table(project, f"{named['project'] or project.name}.{named['dataset']}.{named['table']}", is_first=True)
        else:
            yield from _any_export(project)
    finally:
        project.close()


def _any_export(project: "_Project") -> Generator[Finding]:
    """Without a table's name, that there is none is no fault: templates may name one in another project."""
    listed = project.attempt("bigquery.datasets.get", f"project {project.name}", Role.DATA_VIEWER, project.datasets)
    yield project.entrance(listed)
    if not listed.is_known:
        return
    yield listed.finding
    for dataset in listed.answer or ():
        tables = project.attempt(
            "bigquery.tables.list", f"dataset {project.name}.{dataset}", Role.DATA_VIEWER, project.usage_exports, dataset
        )
        if tables.answer:
            yield tables.finding
            yield from _table(project, f"{project.name}.{dataset}.{tables.answer[0]}")
            return
    if listed.answer is not None:
        message = (
            f"No usage cost export is seen in project {project.name}. Name it with export, or turn on the Cloud Billing export to BigQuery "
            "and grant BigQuery Data Viewer on its dataset."
        )
        yield Finding(name="bigquery.tables.getData", status=FindingStatus.UNKNOWN, message=message)


def _table(project: "_Project", table: str, *, is_first: bool = False) -> Generator[Finding]:
    found = project.attempt("bigquery.tables.get", f"table {table}", Role.DATA_VIEWER, project.described, table)
    if is_first:
        yield project.entrance(found)
    if not found.is_known:
        return
    yield found.finding
    if found.answer is None:
        return
    if not {column.name.lower() for column in found.answer.schema} >= USAGE_COLUMNS:
        message = f"Table {table} is no usage cost export: it has no columns cost and usage_start_time. Name a standard or detailed one."
        yield Finding(name="export", status=FindingStatus.MISSING, message=message)
        return
    if found.answer.table_type == "TABLE":
        reference, what = found.answer.reference, f"table {table}"
        read = project.attempt("bigquery.readsessions.create", what, Role.READ_SESSION_USER, project.open_session, reference)
    else:
        read = project.attempt("bigquery.jobs.create", f"view {table}", Role.JOB_USER, project.dry_run, found.answer.reference)
    yield read.finding
    if read.answer:
        yield _works("bigquery.tables.getData", f"Rows of {table} can be read.")
    elif read.finding.name != "bigquery.tables.getData":
        message = f"It could not be tried whether rows of {table} can be read. Check again when {read.finding.name} is granted."
        yield Finding(name="bigquery.tables.getData", status=FindingStatus.UNKNOWN, message=message)


class _Project:
    """The project of a tenant's credentials, as the tenant's identity sees it."""

    def __init__(self, credentials: GcpCredentials, endpoints: CloudEndpoints) -> None:
        self.name = credentials.project_id
        identity, host = identity_of(credentials.service_account), endpoints.bigquery
        self._client = bigquery.Client(project=self.name, credentials=identity, client_options={"api_endpoint": host} if host else None)
        self._reader = storage_reader(identity, endpoints.bigquery_storage)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()  # type: ignore[no-untyped-call]
        self._reader.transport.close()

    def attempt[*Args, Answer](self, name: str, what: str, role: Role, call: Callable[[*Args], Answer], *args: *Args) -> _Attempt[Answer]:
        """Makes a call that needs the permission `name`, which `role` has. Raises AccessRefused (retryable) if there is no answer."""
        try:
            answer = call(*args)
        except _FAILURES as error:
            asked = Asked(what=what, project=self.name, role=role)
            explained = explain(error, asked)
            if explained.is_retryable:
                raise explained from error
            is_named_wrong = isinstance(error, (google.NotFound, google.BadRequest))
            usual = ("project_id" if name == "bigquery.datasets.get" else "export") if is_named_wrong else name
            finding = Finding(name=setting_of(error, asked, usual), status=FindingStatus.MISSING, message=explained.message)
            return _Attempt(finding=finding, answer=None, is_known=not is_no_identity(error))
        return _Attempt(finding=_works(name, f"It is granted for {what}."), answer=answer)

    def entrance(self, first: _Attempt[Any]) -> Finding:
        """Whether Google knows who calls: seen from the first call, because a service account signs its own tokens."""
        name = "service account key"
        if first.is_known:
            return Finding(name=name, status=FindingStatus.OK, message="Google Cloud accepts it.", is_entrance=True)
        return Finding(name=name, status=FindingStatus.MISSING, message=first.finding.message, is_entrance=True)

    def datasets(self) -> list[str]:
        """The ids of some datasets."""
        listed = self._client.list_datasets(page_size=MAX_DATASETS, timeout=SECONDS, retry=_RETRY)
        return [dataset.dataset_id for dataset in islice(listed, MAX_DATASETS)]

    def usage_exports(self, dataset: str) -> list[str]:
        """The tables that are usage cost exports by their names."""
        listed = self._client.list_tables(f"{self.name}.{dataset}", timeout=SECONDS, retry=_RETRY)
        return [table.table_id for table in listed if table.table_type == "TABLE" and USAGE_EXPORT.fullmatch(table.table_id)]

    def described(self, table: str) -> bigquery.Table:
        """The table, or the view."""
        return self._client.get_table(table, timeout=SECONDS, retry=_RETRY)

    def open_session(self, table: bigquery.TableReference) -> bool:
        """Opens a read session with one stream. It costs nothing until it is read, and it is not."""
        session = types.ReadSession(table=table.path.removeprefix("/"), data_format=types.DataFormat.ARROW)
        self._reader.create_read_session(
            parent=f"projects/{self.name}", read_session=session, max_stream_count=1, timeout=SECONDS, retry=None
        )
        return True

    def dry_run(self, view: bigquery.TableReference) -> bool:
        """Has a query of a view planned, free of charge: read sessions are for tables."""
        config = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False, labels=LABELS)
        sql = f"SELECT * FROM `{view}`"  # noqa: S608 - the name is BigQuery's own
        self._client.query(sql, job_config=config, timeout=SECONDS, retry=_RETRY, job_retry=None)
        return True


def _works(name: str, message: str) -> Finding:
    return Finding(name=name, status=FindingStatus.OK, message=message)
