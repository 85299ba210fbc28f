"""All rows, read once, without our own code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from google.cloud import bigquery

type Row = Mapping[str, Any]
type Rows = Sequence[Row]

CONTROL = {
    "profiles": "tenant_profiles",
    "keys": "tenant_api_keys",
    "ledger": "tenant_usage_quotas",
    "subscriptions": "tenant_subscriptions",
    "schedules": "tenant_pipeline_configs",
    "scheduled_runs": "scheduled_pipeline_runs",
    "queue": "pipeline_execution_queue",
    "credentials": "tenant_cloud_credentials",
}
CHAINS = {"audit_heads": "audit_heads", "audit_log": "audit_log"}
"""They have a chain for each tenant, and the platform's. The heads are read first: services append what they gathered even when no call is
made any more, and the log then has entries behind the head, but never lacks one.
"""
PLATFORM = "-"
OF_A_TENANT = {
    "runs": "x_meta_pipeline_runs",
    "step_logs": "x_meta_step_logs",
    "dq_results": "x_meta_dq_results",
    "fences": "x_meta_publish_fences",
    "days": "x_meta_cost_days",
    "changes": "x_meta_cost_changes",
    "sources": "x_meta_cost_sources",
    "billing": "billing_cost_daily",
    "focus": "focus_cost_daily",
}
"""Our name of each table that is read. One that does not exist, as its tenant has not needed it yet, has no rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Staging:
    """A staging table that is there."""

    name: str
    created: datetime
    expires: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantTables:
    """The tables of a tenant's dataset."""

    runs: Rows = ()
    step_logs: Rows = ()
    dq_results: Rows = ()
    fences: Rows = ()
    days: Rows = ()
    changes: Rows = ()
    sources: Rows = ()
    billing: Rows = ()
    focus: Rows = ()
    staging: Sequence[Staging] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Tables:
    """The control dataset, and the datasets of its tenants."""

    profiles: Rows = ()
    keys: Rows = ()
    ledger: Rows = ()
    subscriptions: Rows = ()
    schedules: Rows = ()
    scheduled_runs: Rows = ()
    queue: Rows = ()
    credentials: Rows = ()
    audit_log: Rows = ()
    audit_heads: Rows = ()
    tenants: Mapping[str, TenantTables] = field(default_factory=dict)


def read_tables(client: bigquery.Client, control_dataset: str, *, tenants: Sequence[str], project: str | None = None) -> Tables:
    """Reads what is there of these tenants; `project` holds their datasets, None: the client's does. Reads only."""
    known = {name: _rows(client, f"`{client.project}`.{control_dataset}.{table}", tenants) for name, table in CONTROL.items()}
    chains = [*tenants, PLATFORM]
    known |= {name: _rows(client, f"`{client.project}`.{control_dataset}.{table}", chains, "chain") for name, table in CHAINS.items()}
    datasets = {one.dataset_id for one in client.list_datasets(project)}
    return Tables(**known, tenants={one: _tenant(client, project or client.project, one) for one in tenants if one in datasets})


def _tenant(client: bigquery.Client, project: str, tenant_id: str) -> TenantTables:
    there = [table.table_id for table in client.list_tables(f"{project}.{tenant_id}")]
    rows = {name: _rows(client, f"`{project}`.{tenant_id}.{table}") for name, table in OF_A_TENANT.items() if table in there}
    staging = [client.get_table(f"{project}.{tenant_id}.{name}") for name in there if name.startswith("x_staging")]
    return TenantTables(**rows, staging=[Staging(name=one.table_id, created=one.created, expires=one.expires) for one in staging])


def _rows(client: bigquery.Client, table: str, among: Sequence[str] | None = None, column: str = "tenant_id") -> Rows:
    where, config = "", bigquery.QueryJobConfig()
    if among is not None:
        where = f" WHERE {column} IN UNNEST(@among)"
        config.query_parameters = [bigquery.ArrayQueryParameter("among", "STRING", list(among))]
    return [dict(row.items()) for row in client.query_and_wait(f"SELECT * FROM {table}{where}", job_config=config)]
