"""Whether this process's account has the roles of the services that it stands for: docs/google-cloud.md lists them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.api_core import exceptions as google

from services.doctor.finding import Finding, NotChecked
from services.doctor.world import World
from services.platform.bigquery.errors import Forbidden, NotFound
from services.platform.bigquery.sql import Block, load_blocks
from services.platform.errors import Unavailable

BLOCKS = load_blocks(Path(__file__).parents[1] / "queries.sql")
EDITS: Mapping[str, Sequence[str]] = {
    "auth": (
        *("tenant_profiles", "tenant_subscriptions", "tenant_api_keys", "tenant_usage_quotas"),
        *("audit_log", "audit_heads", "platform_events"),
    ),
    "credentials": ("tenant_cloud_credentials", "platform_events"),
    "executor": ("tenant_runs", "platform_events"),
    "scheduler": (
        *("tenant_pipeline_configs", "scheduled_pipeline_runs", "pipeline_execution_queue"),
        *("tenant_offboardings", "platform_events"),
    ),
}
"""The control tables that a service changes."""
READS: Mapping[str, Sequence[str]] = {"scheduler": ("runnable_tenants",)}
"""And those that it only reads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """What BigQuery refuses to this account."""

    service: str
    what: str
    """`jobs`, or a control table or view."""
    is_edit: bool = False


async def look(world: World) -> list[Finding]:
    """Dry runs of what each service does."""
    if not await _may(world, BLOCKS["run_a_job"]):
        refusals = [Refusal(service=name, what="jobs") for name in world.names]
    else:
        refusals = [
            Refusal(service=name, what=table, is_edit=is_edit)
            for name in world.names
            for is_edit, tables in ((True, EDITS[name]), (False, READS.get(name, ())))
            for table in tables
            if not await _may(world, BLOCKS[f"{'use' if is_edit else 'read'}_{table}"])
        ]
    return judge(refusals, project=world.settings.project, dataset=world.settings.control_dataset)


def judge(refusals: Sequence[Refusal], *, project: str, dataset: str) -> list[Finding]:
    """Pure."""
    return [_job(one, project) if one.what == "jobs" else _table(one, project, dataset) for one in refusals]


def _job(one: Refusal, project: str) -> Finding:
    return Finding(
        name="role-missing",
        subject=f"{one.service}: roles/bigquery.jobUser",
        problem=f"This account may not run jobs in {project}: {one.service} can do nothing.",
        mend=f"gcloud projects add-iam-policy-binding {project} --member=serviceAccount:ACCOUNT --role=roles/bigquery.jobUser",
    )


def _table(one: Refusal, project: str, dataset: str) -> Finding:
    role = "roles/bigquery.dataEditor" if one.is_edit else "roles/bigquery.dataViewer"
    return Finding(
        name="role-missing",
        subject=f"{one.service}: {role} on {one.what}",
        problem=f"This account may not {'change' if one.is_edit else 'read'} {dataset}.{one.what}, which {one.service} needs.",
        mend=f"bq add-iam-policy-binding --table=true --member=serviceAccount:ACCOUNT --role={role} {project}:{dataset}.{one.what}",
    )


async def _may(world: World, block: Block) -> bool:
    """A table that does not exist is no matter of rights. Raises NotChecked if BigQuery does not answer."""
    try:
        await world.bigquery.dry_run(block, {}, dataset=world.bigquery.control())
    except Forbidden:
        return False
    except (NotFound, google.BadRequest):
        return True
    except (Unavailable, google.GoogleAPICallError) as error:
        raise NotChecked(f"BigQuery cannot be asked ({type(error).__name__})") from None
    return True
