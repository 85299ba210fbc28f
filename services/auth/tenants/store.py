"""The tables of tenants: one typed method a statement. The SQL, with the reasons why each block is safe to replay, is in `queries.sql`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from services.auth.tenants.spec import TenantSpec
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.result import QueryResult
from services.platform.bigquery.sql import load_blocks
from services.platform.errors import no_such_tenant, not_provisioned

BLOCKS = load_blocks(Path(__file__).with_name("queries.sql"))

RUNS_FOR = timedelta(days=90)
"""How far back the runs of all tenants are kept (`tenant_runs`, which executors write)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTenant(TenantSpec):
    """A tenant that exists. Rows of the subscription system may lack the times."""

    created_at: datetime | None
    updated_at: datetime | None
    located_at: datetime | None = None
    """When its location was fixed; None: not yet, or its dataset is older than that."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row, which may have more columns."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantSummary:
    """A tenant as its operator sees it. Runs and costs are of UTC days and months."""

    tenant: StoredTenant
    runs_today: int
    runs_month: int
    cost_month_usd: float
    active_keys: int
    oldest_key_created_at: datetime | None
    """None: it has no key that works, or none with this time."""
    last_completed_at: datetime | None
    """This and the next three are of the runs of RUNS_FOR; None: there is none."""
    last_failed_at: datetime | None
    last_failure: str | None
    last_failed_run: str | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row."""
        own = {field.name: row[field.name] for field in fields(cls) if field.name != "tenant"}
        return cls(tenant=StoredTenant.from_row(row), **own)


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantFilter:
    """Which tenants are listed; None: all."""

    status: str | None = None
    search: str | None = None
    """A part of the id or of the company's name, in either case."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Put:
    """The tenant after a PutTenant."""

    is_offboarded: bool
    """True: nothing was changed."""
    is_mixed: bool
    """True: it has a row of this call and one of another."""
    created_at: datetime | None
    location: str | None
    """None: the installation's. If another one was wanted, nothing was changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Closed:
    """The result of closing a tenant."""

    closed_at: datetime
    """By the first call."""
    keys_revoked: int
    """By this call."""


class TenantStore:
    """Auth's reads and writes of tenants. Every method raises Unavailable when BigQuery does not answer."""

    def __init__(self, bq: BigQuery) -> None:
        self._bq = bq

    async def find(self, tenant_id: str) -> StoredTenant | None:
        """The tenant; None if it does not exist."""
        rows = (await self._run("get_tenant", {"tenant_id": tenant_id})).rows
        return StoredTenant.from_row(rows[0]) if rows else None

    async def get(self, tenant_id: str) -> StoredTenant:
        """The tenant. Raises NotFound."""
        tenant = await self.find(tenant_id)
        if tenant is None:
            raise no_such_tenant(tenant_id)
        return tenant

    async def page(self, wanted: TenantFilter, *, after: str, limit: int, now: datetime, today: date) -> list[TenantSummary]:
        """At most `limit` tenants, ordered by id, from the one after `after` on. One statement."""
        params = {**asdict(wanted), "after": after, "row_limit": limit, "now": now, "today": today, "runs_since": now - RUNS_FOR}
        return [TenantSummary.from_row(row) for row in (await self._run("list_tenants", params)).rows]

    async def put(self, spec: TenantSpec, now: datetime, today: date, *, unmade_before: datetime | None = None) -> Put:
        """Creates or replaces a tenant and its subscription, and sets the new limits in today's row of the ledger. One statement; a second
        one if concurrent calls have created the tenant. `unmade_before`: see `TenantLocations.require_free`.
        """
        desired = {field.name: getattr(spec, field.name) for field in fields(TenantSpec)}
        own = {"subscription_id": spec.subscription_id, "usual_location": self._bq.client.location}
        params = {**desired, **own, "now": now, "today": today, "unmade_before": unmade_before}
        done = Put(**(await self._run("put_tenant", params)).only_row)
        return Put(**(await self._run("put_tenant", params)).only_row) if done.is_mixed else done

    async def fix_location(self, tenant_id: str, now: datetime) -> str:
        """Fixes the location, unless it is fixed, and returns it. Raises NotFound."""
        params = {"tenant_id": tenant_id, "now": now, "usual_location": self._bq.client.location}
        rows = (await self._run("fix_location", params)).rows
        if not rows:
            raise not_provisioned(tenant_id)
        return str(rows[0]["location"])

    async def suspend(self, tenant_id: str, now: datetime) -> None:
        """Suspends the tenant, unless it is suspended or offboarded."""
        await self._run("suspend_tenant", {"tenant_id": tenant_id, "now": now})

    async def resume(self, tenant_id: str, now: datetime) -> None:
        """Ends the tenant's suspension, if it is suspended."""
        await self._run("resume_tenant", {"tenant_id": tenant_id, "now": now})

    async def close(self, tenant_id: str, now: datetime) -> Closed:
        """Offboards the tenant and revokes its keys. Raises NotFound."""
        row = (await self._run("close_tenant", {"tenant_id": tenant_id, "now": now})).only_row
        if row["closed_at"] is None:
            raise no_such_tenant(tenant_id)
        return Closed(**row)

    async def _run(self, block: str, params: Mapping[str, object]) -> QueryResult:
        return await self._bq.query(BLOCKS[block], params, dataset=self._bq.control())
