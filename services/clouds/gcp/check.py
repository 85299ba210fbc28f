"""Checks a tenant's access to Google Cloud: the calls of a run up to the opening of a read session, of which nothing is read."""

import re
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Final

from google.api_core import exceptions as google
from google.auth import exceptions as google_auth
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY
from google.cloud.bigquery_storage_v1 import types

from services.clouds.access import TenantAccess
from services.clouds.attempt import Attempt, attempt, missing, untried
from services.clouds.findings import Finding, FindingStatus
from services.clouds.gcp.identity import GcpCredentials, open_identity, read_gcp, storage_reader
from services.clouds.gcp.refusals import KEY, Asked, Role, explain
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


def check_gcp(access: TenantAccess, export: str | None) -> Generator[Finding]:
    """`export`: a table, `dataset.table` or `project.dataset.table`; None: a usage cost export of the project, if one is seen. Raises as
    AccessCheck does.
    """
    named = TABLE.fullmatch(export) if export else None
    if export and named is None:
        raise InvalidArgument("export", "must be `dataset.table` or `project.dataset.table`.")
    project = _Project(read_gcp(access.plaintext), access)
    try:
        if named:
            table = project.table(f"{named['project'] or project.name}.{named['dataset']}.{named['table']}")
            yield from _read(project, table, is_first=True)
        else:
            yield from _any_export(project)
    finally:
        project.close()


def _any_export(project: "_Project") -> Generator[Finding]:
    """Without a table's name, that there is none is no fault: templates may name one in another project."""
    listed = project.attempt("bigquery.datasets.get", f"project {project.name}", Role.DATA_VIEWER, project.datasets)
    yield from _entrance(listed)
    for dataset in listed.answer or ():
        what = f"dataset {project.name}.{dataset}"
        tables = project.attempt("bigquery.tables.list", what, Role.DATA_VIEWER, partial(project.usage_exports, dataset))
        if tables.answer:
            yield tables.finding
            yield from _read(project, project.table(f"{project.name}.{dataset}.{tables.answer[0]}"))
            return
    if listed.worked:
        message = (
            f"No usage cost export is seen in project {project.name}. Name it with export, or turn on the Cloud Billing export to BigQuery "
            "and grant BigQuery Data Viewer on its dataset."
        )
        yield untried("bigquery.tables.getData", message)


def _entrance(first: Attempt[Any]) -> Generator[Finding]:
    """Whether Google knows who calls, seen from the first call, because a service account signs its own tokens; and what came of it."""
    if first.finding.name == KEY:
        yield replace(first.finding, is_entrance=True)
    else:
        yield Finding(name=KEY, status=FindingStatus.OK, message="Google Cloud accepts it.", is_entrance=True)
        yield first.finding


def _read(project: "_Project", found: Attempt[bigquery.Table], *, is_first: bool = False) -> Generator[Finding]:
    if is_first:
        yield from _entrance(found)
    else:
        yield found.finding
    if found.answer is None:
        return
    reference, columns = found.answer.reference, {column.name.lower() for column in found.answer.schema}
    if not columns >= USAGE_COLUMNS:
        message = (
            f"Table {reference} is no usage cost export: it has no columns cost and usage_start_time. Name a standard or detailed one."
        )
        yield missing("export", message)
        return
    what = f"table {reference}"
    if found.answer.table_type == "TABLE":
        read = project.attempt("bigquery.readsessions.create", what, Role.READ_SESSION_USER, partial(project.open_session, reference))
    else:
        read = project.attempt("bigquery.jobs.create", what, Role.JOB_USER, partial(project.dry_run, reference))
    yield read.finding
    if read.worked:
        yield Finding(name="bigquery.tables.getData", status=FindingStatus.OK, message=f"Rows of {reference} can be read.")
    elif read.finding.name != "bigquery.tables.getData":
        message = f"It could not be tried whether rows of {reference} can be read. Check again when {read.finding.name} is granted."
        yield untried("bigquery.tables.getData", message)


class _Project:
    """The project of a tenant's credentials, as the tenant's identity sees it."""

    def __init__(self, credentials: GcpCredentials, access: TenantAccess) -> None:
        self.name = credentials.project_id
        identity, host = open_identity(credentials, access), access.endpoints.bigquery
        self._client = bigquery.Client(project=self.name, credentials=identity, client_options={"api_endpoint": host} if host else None)
        self._reader = storage_reader(identity, access.endpoints.bigquery_storage)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()  # type: ignore[no-untyped-call]
        self._reader.transport.close()

    def attempt[Answer](self, name: str, what: str, role: Role, call: Callable[[], Answer]) -> Attempt[Answer]:
        """A call that needs the permission `name`, which `role` has. Raises AccessRefused (retryable) if there is no answer."""

        def worded() -> Answer:
            try:
                return call()
            except _FAILURES as error:
                raise explain(error, Asked(what=what, project=self.name, role=role)) from error

        return attempt(name, worded, f"It is granted for {what}.")

    def table(self, table: str) -> Attempt[bigquery.Table]:
        """The table, or the view."""
        what = f"table {table}"
        return self.attempt(
            "bigquery.tables.get", what, Role.DATA_VIEWER, lambda: self._client.get_table(table, timeout=SECONDS, retry=_RETRY)
        )

    def datasets(self) -> list[str]:
        """The ids of some datasets."""
        listed = self._client.list_datasets(page_size=MAX_DATASETS, timeout=SECONDS, retry=_RETRY)
        return [dataset.dataset_id for dataset in islice(listed, MAX_DATASETS)]

    def usage_exports(self, dataset: str) -> list[str]:
        """The tables that are usage cost exports by their names."""
        listed = self._client.list_tables(f"{self.name}.{dataset}", timeout=SECONDS, retry=_RETRY)
        return [table.table_id for table in listed if table.table_type == "TABLE" and USAGE_EXPORT.fullmatch(table.table_id)]

    def open_session(self, table: bigquery.TableReference) -> None:
        """Opens a read session with one stream. It costs nothing until it is read, and it is not."""
        session = types.ReadSession(table=table.path.removeprefix("/"), data_format=types.DataFormat.ARROW)
        self._reader.create_read_session(
            parent=f"projects/{self.name}", read_session=session, max_stream_count=1, timeout=SECONDS, retry=None
        )

    def dry_run(self, view: bigquery.TableReference) -> None:
        """Has a query of a view planned, free of charge: read sessions are for tables."""
        config = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False, labels=LABELS)
        sql = f"SELECT * FROM `{view}`"  # noqa: S608 - the name is BigQuery's own
        self._client.query(sql, job_config=config, timeout=SECONDS, retry=_RETRY, job_retry=None)
