"""Google Cloud: a workload identity pool whose provider trusts our issuer for this tenant, and roles for the tenant's subject (IAM,
"Configure Workload Identity Federation with other identity providers").
"""

import re
from collections.abc import Mapping
from typing import Final

from services.clouds.audiences import GCP_PROVIDER, gcp_audience
from services.credentials.trust.guide import GuideCommand, GuideField, Trusted, TrustGuide, checked, command

_PROJECT: Final = r"(?:(?:[a-z0-9-]{1,63}\.)+[a-z]{2,63}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
FIELDS: Final = {
    "project_id": GuideField(pattern=re.compile(_PROJECT), takes="a project id"),
    "workload_identity_provider": GuideField(
        pattern=GCP_PROVIDER,
        takes="a provider's resource name, projects/<project number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>",
    ),
    "service_account_email": GuideField(
        pattern=re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]@(?:[a-z0-9-]{1,63}\.){1,8}iam\.gserviceaccount\.com"),
        takes="a service account's e-mail address",
    ),
    "export": GuideField(
        pattern=re.compile(rf"{_PROJECT}\.\w{{1,1024}}(?:\.[\w-]{{1,1024}})?", re.ASCII),
        takes="the export, project.dataset or project.dataset.table",
    ),
}
PLACEHOLDERS: Final = {"PROJECT_ID": "project_id", "PROJECT_NUMBER": "workload_identity_provider", "EXPORT_PROJECT.DATASET": "export"}
"""And the field that says them."""
APIS: Final = ("iam", "sts", "iamcredentials", "bigquery", "bigquerystorage")


def gcp_guide(trusted: Trusted, values: Mapping[str, str]) -> TrustGuide:
    """The pool lies in the project in which runs read. Raises InvalidArgument."""
    given = checked(values, FIELDS, "GCP")
    project, dataset = given.get("project_id", "PROJECT_ID"), _dataset(given.get("export", "EXPORT_PROJECT.DATASET"))
    provider = given.get(
        "workload_identity_provider", "projects/PROJECT_NUMBER/locations/global/workloadIdentityPools/convergence/providers/convergence"
    )
    email = given.get("service_account_email")
    *_, pool, _, name = provider.split("/")
    subject = f"principal://iam.googleapis.com/{provider.rpartition('/providers/')[0]}/subject/{trusted.subject}"
    reader = f"serviceAccount:{email}" if email else subject
    return TrustGuide(
        audience=gcp_audience(provider),
        commands=(
            command(
                "Enables the APIs that are used.",
                "gcloud",
                "services",
                "enable",
                *(f"{api}.googleapis.com" for api in APIS),
                "--project",
                project,
            ),
            # The pool may lie in another project than the one that runs read in: its number names it.
            command(
                "Creates the pool. Once a project.",
                *("gcloud", "iam", "workload-identity-pools", "create", pool, "--location", "global", "--project", project),
            ),
            command(
                "Makes the pool trust tokens about this tenant alone.",
                *("gcloud", "iam", "workload-identity-pools", "providers", "create-oidc", name, "--location", "global"),
                *("--workload-identity-pool", pool, "--project", project, "--issuer-uri", trusted.issuer),
                *("--attribute-mapping", "google.subject=assertion.sub"),
                *("--attribute-condition", f'assertion.sub == "{trusted.subject}"'),
            ),
            *_impersonation(email, subject),
            command(
                "Lets it open sessions of the Storage Read API, which this project pays for.",
                *_grant(project, reader, "roles/bigquery.readSessionUser"),
            ),
            command(
                "Lets it query. Only if the pipelines read a view, or compare with Google's own FOCUS export.",
                *_grant(project, reader, "roles/bigquery.jobUser"),
            ),
            command(
                "Lets it read the dataset of the export.",
                *("bq", "query", "--use_legacy_sql=false", f"--project_id={project}"),
                f'GRANT `roles/bigquery.dataViewer` ON SCHEMA `{dataset}` TO "{reader}"',
            ),
        ),
        credentials={
            "project_id": project,
            "workload_identity_provider": provider,
            **({"service_account_email": email} if email else {}),
        },
        placeholders=tuple(word for word, field in PLACEHOLDERS.items() if field not in given),
    )


def _dataset(export: str) -> str:
    """Roles are for all tables of it: an export makes new ones. A project's id may have dots, in its domain, but only before a colon."""
    domain, colon, rest = export.rpartition(":")
    return f"{domain}{colon}{'.'.join(rest.split('.')[:2])}"


def _project_number(project: str) -> GuideCommand:
    return command("Prints PROJECT_NUMBER.", "gcloud", "projects", "describe", project, "--format", "value(projectNumber)")


def _impersonation(email: str | None, subject: str) -> tuple[GuideCommand, ...]:
    if email is None:
        return ()
    words = ("gcloud", "iam", "service-accounts", "add-iam-policy-binding", email)
    return (
        command(
            "Lets the tenant's subject, and no other, use the service account.",
            *(*words, "--role", "roles/iam.workloadIdentityUser", "--member", subject, "--condition", "None"),
        ),
    )


def _grant(project: str, member: str, role: str) -> tuple[str, ...]:
    return ("gcloud", "projects", "add-iam-policy-binding", project, "--member", member, "--role", role, "--condition", "None")
