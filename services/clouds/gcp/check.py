"""Checks a tenant's access to Google Cloud: the calls of a run up to the opening of a read session, of which nothing is read."""

import time
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any, Final

from google.cloud import bigquery

from services.clouds.access import AccessRefused, TenantAccess, TokenOf
from services.clouds.attempt import Attempt, missing, refuses_others, untried
from services.clouds.findings import Finding, FindingStatus
from services.clouds.gcp.checked_project import CheckedProject
from services.clouds.gcp.identity import GcpCredentials, read_gcp
from services.clouds.gcp.refusals import KEY, Role, no_usage_export
from services.platform.errors import InvalidArgument
from services.platform.identifiers import TABLE

USAGE_COLUMNS: Final = frozenset({"cost", "usage_start_time"})
SEARCH_SECONDS: Final = 10.0
"""How long an export is looked for: a BigQuery that is slow to answer must not take a check's whole time."""
OTHERS: Final = "Attribute condition"
"""What the console calls a provider's condition on whose tokens it takes."""


def check_gcp(access: TenantAccess, export: str | None) -> Generator[Finding | None]:
    """`export`: a table, `dataset.table` or `project.dataset.table`; None: a usage cost export of the project, if one is seen. Raises as
    AccessCheck does.
    """
    named = TABLE.fullmatch(export) if export else None
    if export and named is None:
        raise InvalidArgument("export", "must be `dataset.table` or `project.dataset.table`.")
    credentials = read_gcp(access.plaintext)
    project = CheckedProject(credentials, access)
    table = f"{named['project'] or project.name}.{named['dataset']}.{named['table']}" if named else None
    try:
        if entered := project.enter():
            yield entered.finding
            if not entered.worked:
                return
            if access.probes:
                come_in = partial(_come_in, credentials, access, table)
                yield from refuses_others(OTHERS, access.probes, come_in, partial(_opened, project.name, access.tenant_id))
        yield from _read(project, project.table(table), is_first=not entered) if table else _any_export(project, is_first=not entered)
    finally:
        project.close()


def _come_in(credentials: GcpCredentials, access: TenantAccess, table: str | None, token_of: TokenOf) -> None:
    """Tries a token whose subject is not a tenant. A provider may accept it; what counts is whether it gives access to anything. Raises
    AccessRefused.
    """
    other = CheckedProject(credentials, replace(access, token_of=token_of))
    try:
        other.require_entered()
        # To use the service account is to have all that it may.
        if not credentials.service_account_email and not other.sees_anything(table):
            raise AccessRefused("The provider takes tokens about others, who have no rights.")
    finally:
        other.close()


def _opened(project: str, tenant_id: str, subject: str) -> str:
    return (
        f"This installation's identity token about {subject} opens project {project}, so other tenants could name it as theirs. Give the "
        "workload identity provider the attribute condition that GET .../credentials/gcp/trust shows, an equality, and grant the roles to "
        f"the subject {tenant_id} alone (principal://), not to the whole pool (principalSet://)."
    )


def _any_export(project: CheckedProject, *, is_first: bool) -> Generator[Finding]:
    """If no table is named, it is no fault that there is none: templates may name a table in another project."""
    listed = project.attempt("bigquery.datasets.get", f"project {project.name}", Role.DATA_VIEWER, project.datasets)
    yield from _entrance(listed) if is_first else [listed.finding]
    until = time.monotonic() + SEARCH_SECONDS
    for dataset in listed.answer or ():
        if time.monotonic() > until:
            break
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


def _across(project: CheckedProject, table: bigquery.Table) -> str:
    """What is to be known of an export that is elsewhere than the tenant's data; empty for one that is not."""
    if project.data_location is None or table.location in {None, project.data_location}:
        return ""
    return (
        f" It is in {table.location} and the data of this tenant are in {project.data_location}: runs read it across regions, and Google "
        f"Cloud may charge project {project.name} for that transfer."
    )


def _read(project: CheckedProject, found: Attempt[bigquery.Table], *, is_first: bool = False) -> Generator[Finding]:
    reference = found.answer.reference if found.answer else None
    if found.answer and not {column.name.lower() for column in found.answer.schema} >= USAGE_COLUMNS:
        # The same as for a table that is not there.
        found = replace(found, finding=missing("export", no_usage_export(str(reference))), answer=None)
    yield from _entrance(found) if is_first else [found.finding]
    if found.answer is None or reference is None:
        return
    what = f"table {reference}"
    if found.answer.table_type == "TABLE":
        read = project.attempt("bigquery.readsessions.create", what, Role.READ_SESSION_USER, partial(project.open_session, reference))
    else:
        read = project.attempt("bigquery.jobs.create", what, Role.JOB_USER, partial(project.dry_run, reference, found.answer.location))
    yield read.finding
    if read.worked:
        message = f"Rows of {reference} can be read.{_across(project, found.answer)}"
        yield Finding(name="bigquery.tables.getData", status=FindingStatus.OK, message=message)
    elif read.finding.name != "bigquery.tables.getData":
        message = f"It could not be tried whether rows of {reference} can be read. Check again when {read.finding.name} is granted."
        yield untried("bigquery.tables.getData", message)
