"""Explains Google Cloud's errors to a tenant: one sentence for each cause, with what to do next.

Read from `error.errors[].reason`, ErrorInfo and the message, over REST and gRPC alike (Google Cloud APIs, "Errors"; BigQuery, "Error
messages"; VPC Service Controls, "Troubleshooting"). Google's own text is matched and never passed on: it may quote requests.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from google.api_core import exceptions as google
from google.auth import exceptions as google_auth

from services.clouds.access import AccessRefused
from services.clouds.gcp.federation import REFUSALS, ExchangeFault
from services.platform.bigquery.transient import is_transient


class Role(Enum):
    """A role that a tenant's service account may lack, and the resource on which it is granted."""

    DATA_VIEWER = "BigQuery Data Viewer (roles/bigquery.dataViewer) on the dataset"
    READ_SESSION_USER = "BigQuery Read Session User (roles/bigquery.readSessionUser) on project {project}"
    JOB_USER = "BigQuery Job User (roles/bigquery.jobUser) on project {project}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The request to a tenant's Google Cloud that failed."""

    what: str
    """The target, e.g. `table p.d.t`."""
    project: str
    """The credentials' project, in which sessions and jobs run."""
    role: Role
    """The role that allows the request, if the error does not name the permission."""
    who: str = "the service account"
    """Whom it is granted to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """The contents of an error, in lower case."""

    reasons: frozenset[str]
    text: str

    def has(self, *reasons: str, text: Iterable[str] = ()) -> bool:
        return not self.reasons.isdisjoint(reasons) or any(part in self.text for part in text)


_PERMISSIONS = {
    "bigquery.readsessions.": Role.READ_SESSION_USER,
    "bigquery.jobs.": Role.JOB_USER,
    "bigquery.tables.": Role.DATA_VIEWER,
    "bigquery.datasets.": Role.DATA_VIEWER,
}
_APIS = {"bigquerystorage.googleapis.com": "BigQuery Storage API", "bigquery.googleapis.com": "BigQuery API"}
KEY: Final = "service account key"
PERMISSIONS: Final = (
    "bigquery.readsessions.create",
    "bigquery.readsessions.getData",
    "bigquery.jobs.create",
    "bigquery.tables.getData",
    "bigquery.tables.get",
    "bigquery.tables.list",
    "bigquery.datasets.get",
)
"""What a run needs, as BigQuery names it; longer names before those that they begin with."""
_FAULTS: Final = {
    ExchangeFault.PROVIDER: "Workload identity provider",
    ExchangeFault.TOKEN: "Workload identity provider",
    ExchangeFault.CONDITION: "Attribute condition",
    ExchangeFault.AUDIENCE: "Allowed audiences",
    ExchangeFault.ISSUER: "Issuer URL",
    ExchangeFault.IMPERSONATION: "iam.serviceAccounts.getAccessToken",
}
"""What the console calls what is missing."""
_OFF, _OFF_TEXT = ("service_disabled", "accessnotconfigured"), ("has not been used in project", "api is not enabled")
_PERIMETER = ("security_policy_violated", "policyviolation", "vpcservicecontrols")
_PERIMETER_TEXT = ("vpcservicecontrols", "prohibited by organization's policy")
_UNPAID = ("billing_disabled", "billingnotenabled", "accountdisabled")
_UNPAID_TEXT = (
    "billing account for the owning project is disabled",
    "has billing disabled",
    "billing has not been enabled",
    "not configured billing",
)
_POLICY_TAG_TEXT = ("policy tag", "finegrainedget", "fine-grained reader")
_FORBIDDEN: Final[Sequence[tuple[Sequence[str], Sequence[str], str]]] = (
    ((), _POLICY_TAG_TEXT, "datacatalog.categories.fineGrainedGet"),
    (_PERIMETER, _PERIMETER_TEXT, "VPC Service Controls"),
    (_UNPAID, _UNPAID_TEXT, "Cloud Billing"),
)
"""Reasons and texts of what is forbidden, and what it is about."""
_JOB_TEXT: Final = ("not found: job ",)
_PROJECT = re.compile(r"projects?[/ ](?P<project>[a-z0-9][a-z0-9:.-]*[a-z0-9])")
_NO_KEY = (google.Unauthorized, google_auth.RefreshError)


def explain(error: Exception, asked: Asked) -> AccessRefused:
    """The error for the tenant. Retryable only if the cause may pass by itself."""
    if is_transient(error):
        return AccessRefused(f"BigQuery did not answer when asked for {asked.what}. Run it again in a moment.", is_retryable=True)
    said = _said(error)
    if isinstance(error, google.NotFound) and said.has(text=_JOB_TEXT):
        return AccessRefused(f"BigQuery has lost the query on {asked.what}. Run it again in a moment.", is_retryable=True)
    message = _organisation(error, said, asked) or _access(error, said, asked) or _request(error, asked)
    return AccessRefused(message, setting=_setting(error, said, asked))


def no_usage_export(table: str) -> str:
    """For a table that is not there, and for one that is no usage cost export: the answer does not say which, so that no tenant learns from
    it what tables there are.
    """
    return (
        f"No usage cost export is seen as {table}: there is no such table, or it has no columns cost and usage_start_time. Check its name, "
        "and the project_id of the credentials, and name a standard or detailed export (gcp_billing_export_v1_* or "
        "gcp_billing_export_resource_v1_*)."
    )


def lacks_role(error: Exception) -> bool:
    """True if the only cause is a missing role."""
    unknown = Asked(what="", project="", role=Role.DATA_VIEWER)
    return isinstance(error, google.Forbidden) and not is_transient(error) and _organisation(error, _said(error), unknown) is None


def _organisation(error: Exception, said: _Said, asked: Asked) -> str | None:
    """What a project, its organisation or a limit forbids to every account."""
    if said.has(*_OFF, text=_OFF_TEXT):
        api, service, project = _disabled(error, said, asked)
        return f"The {api} is not enabled in project {project}. Enable {service} there, wait some minutes, and run it again."
    if said.has(*_PERIMETER, text=_PERIMETER_TEXT):
        return (
            f"VPC Service Controls of the organisation forbid reading {asked.what} from outside its perimeter. Ask its administrator for "
            "an ingress rule that lets this service account use the BigQuery and BigQuery Storage APIs."
        )
    if said.has(*_UNPAID, text=_UNPAID_TEXT):
        return f"Billing is off for project {asked.project} or that of {asked.what}. Link it to an active billing account and run it again."
    if said.has("quotaexceeded"):
        return f"A BigQuery quota of project {asked.project} is used up. Raise it, or run it again when it is free again."
    if said.has("responsetoolarge"):
        return f"BigQuery returns less of one query than {asked.what} has of these days. Run fewer days at once."
    return None


def _access(error: Exception, said: _Said, asked: Asked) -> str | None:
    """What the service account may not do."""
    if fault := _fault(said):
        return REFUSALS[fault]
    if isinstance(error, _NO_KEY):
        return (
            "Google Cloud does not accept the service account's key: the key or the account was disabled or deleted, or the key has "
            "expired. Make a new key, and set the GCP credentials again."
        )
    if not isinstance(error, google.Forbidden):
        return None
    if said.has(text=_POLICY_TAG_TEXT):
        return (
            f"Columns of {asked.what} are protected by policy tags. Grant {asked.who} Fine-Grained Reader "
            "(roles/datacatalog.categoryFineGrainedReader) on these tags."
        )
    role = next((role for permission, role in _PERMISSIONS.items() if permission in said.text), asked.role)
    return (
        f"Google Cloud refused {asked.who} on {asked.what}. Grant it {role.value.format(project=asked.project)}, "
        "and check that the name is right: BigQuery answers the same for what is not there."
    )


def _request(error: Exception, asked: Asked) -> str:
    if isinstance(error, google.NotFound) and asked.what.startswith(("table ", "view ")):
        return no_usage_export(asked.what.partition(" ")[2])
    if isinstance(error, google.NotFound):
        return f"Google Cloud finds no {asked.what}. Check its name, and the project_id of the credentials."
    if asked.role is Role.JOB_USER and isinstance(error, google.BadRequest):
        return f"BigQuery cannot run a query on {asked.what}. Open it in BigQuery to see why, or name the table under it with export_table."
    return f"Google Cloud could not read {asked.what}."


def _said(error: Exception) -> _Said:
    if not isinstance(error, google.GoogleAPICallError):
        return _Said(reasons=frozenset(), text=str(error).lower())
    # Over REST `errors` are objects with a reason; over gRPC it holds the RpcError.
    listed = [one for one in error.errors or () if isinstance(one, dict)]
    reasons = {error.reason, *(one.get("reason") for one in listed)}
    texts = [error.message, *(one.get("message") for one in listed)]
    return _Said(
        reasons=frozenset(str(reason).lower() for reason in reasons if reason), text=" ".join(str(text) for text in texts if text).lower()
    )


def _fault(said: _Said) -> ExchangeFault | None:
    return next((fault for fault in ExchangeFault if fault in said.text), None)


def _setting(error: Exception, said: _Said, asked: Asked) -> str | None:
    """What is missing, by Google's own name; None: it does not say."""
    if fault := _fault(said):
        return _FAULTS.get(fault)
    if isinstance(error, _NO_KEY):
        return KEY
    if isinstance(error, (google.NotFound, google.BadRequest)):
        return "project_id" if asked.what.startswith("project ") else "export"
    if isinstance(error, google.Forbidden) and said.has(*_OFF, text=_OFF_TEXT):
        return _disabled(error, said, asked)[1]
    named = next((name for reasons, text, name in _FORBIDDEN if said.has(*reasons, text=text)), None)
    return named or next((name for name in PERMISSIONS if name.lower() in said.text), None)


def _disabled(error: Exception, said: _Said, asked: Asked) -> tuple[str, str, str]:
    """The API, its service, and the project in which it is disabled."""
    details: Any = (error.metadata if isinstance(error, google.GoogleAPICallError) else None) or {}
    service = details.get("service", "")
    if service not in _APIS:
        is_storage = "bigquery storage" in said.text or (asked.role is Role.READ_SESSION_USER and "bigquery api" not in said.text)
        service = "bigquerystorage.googleapis.com" if is_storage else "bigquery.googleapis.com"
    match = _PROJECT.search(details.get("consumer", "")) or re.search(rf"has not been used in {_PROJECT.pattern}", said.text)
    return _APIS[service], service, match["project"] if match else asked.project
