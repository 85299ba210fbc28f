"""The calls of a check to a tenant's Google Cloud, with refusals in words for the tenant."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

from google.api_core import exceptions as google
from google.auth import exceptions as google_auth
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY
from google.cloud.bigquery_storage_v1 import types

from services.clouds.access import TenantAccess
from services.clouds.attempt import Attempt, attempt
from services.clouds.gcp.federation import FederatedIdentity
from services.clouds.gcp.identity import GcpCredentials, open_identity, storage_reader
from services.clouds.gcp.refusals import Asked, Role, explain

SECONDS: Final = 10.0
"""Deadline of each call."""
MAX_DATASETS: Final = 10
"""Datasets in which an export is looked for. A run looks in all."""
MAX_TABLES: Final = 1_000
"""Of each."""
USAGE_EXPORT: Final = re.compile(r"gcp_billing_export_(resource_)?v1_\w+", re.ASCII)
"""The names of usage cost exports (Cloud Billing, "Billing data tables")."""
LABELS: Final = {"managed-by": "convergence", "statement": "check_view"}

_RETRY = DEFAULT_RETRY.with_timeout(SECONDS)
_FAILURES = (google.GoogleAPIError, google_auth.GoogleAuthError, OSError)


class CheckedProject:
    """The project of a tenant's credentials, as the identity of `access` sees it. All calls block, each for some SECONDS at most."""

    def __init__(self, credentials: GcpCredentials, access: TenantAccess) -> None:
        """No I/O. Raises AccessRefused if the credentials cannot be used."""
        self.name, self.data_location = credentials.project_id, access.location
        self._who = _who(credentials, access.tenant_id)
        self._identity, host = open_identity(credentials, access), access.endpoints.bigquery
        options = {"api_endpoint": host} if host else None
        self._client = bigquery.Client(project=self.name, credentials=self._identity, client_options=options)
        self._reader = storage_reader(self._identity, access.endpoints.bigquery_storage)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()  # type: ignore[no-untyped-call]
        self._reader.transport.close()

    def enter(self) -> Attempt[None] | None:
        """Exchanges our token for one of Google's; None if the identity is a service account with a key, which fetches none. Raises
        AccessRefused (retryable) if there is no answer.
        """
        if not isinstance(self._identity, FederatedIdentity):
            return None
        return attempt("Workload identity provider", self.require_entered, "Google Cloud accepts our identity token.", is_entrance=True)

    def require_entered(self) -> None:
        """Raises AccessRefused if there is no token for the identity."""
        if isinstance(self._identity, FederatedIdentity):
            with self._worded(f"project {self.name}", Role.DATA_VIEWER):
                self._identity.ready()

    def sees_anything(self, table: str | None) -> bool:
        """Whether it sees a dataset of the project, or the table, if one is named. Raises AccessRefused (retryable)."""
        listed = self.attempt("bigquery.datasets.get", f"project {self.name}", Role.DATA_VIEWER, self.datasets)
        return bool(listed.answer) or (table is not None and self.table(table).worked)

    def attempt[Answer](self, name: str, what: str, role: Role, call: Callable[[], Answer]) -> Attempt[Answer]:
        """A call that needs the permission `name`, which `role` has. Raises AccessRefused (retryable) if there is no answer."""

        def worded() -> Answer:
            with self._worded(what, role):
                return call()

        return attempt(name, worded, f"It is granted for {what}.")

    @contextmanager
    def _worded(self, what: str, role: Role) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            raise explain(error, Asked(what=what, project=self.name, role=role, who=self._who)) from error

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
        listed = self._client.list_tables(f"{self.name}.{dataset}", max_results=MAX_TABLES, timeout=SECONDS, retry=_RETRY)
        return [table.table_id for table in listed if table.table_type == "TABLE" and USAGE_EXPORT.fullmatch(table.table_id)]

    def open_session(self, table: bigquery.TableReference) -> None:
        """Opens a read session with one stream. It costs nothing until it is read, and it is not."""
        session = types.ReadSession(table=table.path.removeprefix("/"), data_format=types.DataFormat.ARROW)
        self._reader.create_read_session(
            parent=f"projects/{self.name}", read_session=session, max_stream_count=1, timeout=SECONDS, retry=None
        )

    def dry_run(self, view: bigquery.TableReference, location: str | None) -> None:
        """Has a query of a view planned, free of charge: read sessions are for tables."""
        config = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False, labels=LABELS)
        sql = f"SELECT * FROM `{view}`"  # noqa: S608 - the name is BigQuery's own
        self._client.query(sql, job_config=config, location=location, timeout=SECONDS, retry=_RETRY, job_retry=None)


def _who(credentials: GcpCredentials, tenant_id: str) -> str:
    """Whom the tenant grants its roles to."""
    if credentials.workload_identity_provider is None:
        return "the service account"
    if credentials.service_account_email:
        return f"the service account {credentials.service_account_email}"
    pool = credentials.workload_identity_provider.partition("/providers/")[0]
    return f"principal://iam.googleapis.com/{pool}/subject/{tenant_id}"
