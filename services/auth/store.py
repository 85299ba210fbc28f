"""Auth's tables: one typed method a statement. The SQL, with the reasons why each block is safe to replay, is in `queries.sql`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from services.auth.listed import KEY_TABLES, LEASE_TABLES, key_holders, leases
from services.auth.quota import LIVE_FOR, Usage
from services.platform.access.key_holder import KeyHolder
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import load_blocks
from services.platform.bigquery.table_versions import TableVersions, Version
from services.platform.bigquery.unbilled.small_tables import SmallTables
from services.platform.plan import PlanLimits

BLOCKS = load_blocks(Path(__file__).with_name("queries.sql"))
BY_ID = "id:"
"""Begins a handle that is no SHA-256, see `by_id`."""


def by_id(tenant_id: str, api_key_id: str) -> str:
    """The handle of a key whose id is known, but not the key: that of a session token."""
    return f"{BY_ID}{tenant_id}/{api_key_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredKey:
    """A row of `tenant_api_keys`, without the hash."""

    api_key_id: str
    tenant_id: str
    scopes: tuple[str, ...]
    is_active: bool
    expires_at: datetime | None
    created_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row; NULL scopes are none."""
        return cls(**{**row, "scopes": tuple(row["scopes"] or ())})

    @property
    def page_key(self) -> tuple[datetime, str]:
        """By which keys are listed, newest first."""
        return self.created_at or datetime.fromtimestamp(0, UTC), self.api_key_id


@dataclass(frozen=True, kw_only=True, slots=True)
class ReservationRequest:
    """One run's request for a reservation; `units` is 1, or 0 for a retry."""

    tenant_id: str
    reservation_id: str
    units: int
    trigger_type: str | None
    """The run's; None if its executor is of a release that does not send it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedUsage:
    """What runs have used."""

    bytes_billed: int = 0
    bytes_read: int = 0
    slot_ms: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """The end of one run: COMPLETED, FAILED, CANCELLED or NOT_STARTED."""

    tenant_id: str
    reservation_id: str
    usage_date: date
    outcome: str
    only_if_expired: bool = False
    """True: nothing happens if the reservation's lease has been extended meanwhile."""
    cost: RecordedUsage | None = None
    """None: the caller does not know it; it may be sent with a second settlement."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedRuns(RecordedUsage):
    """What a number of runs have used."""

    runs: int = 0

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row of sums; NULL, if no row had a number, is 0."""
        return cls(**{name: value or 0 for name, value in row.items()})


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredLease:
    """A reservation whose run has not been settled."""

    tenant_id: str
    reservation_id: str
    usage_date: date
    lease_expires_at: datetime
    trigger_type: str | None = None
    """None if it was not written down: the reservation is of an older release."""


class AuthStore:
    """Auth's reads and writes. Every method raises Unavailable when BigQuery does not answer."""

    def __init__(self, bq: BigQuery, *, plan_defaults: PlanLimits | None = None, quota_days: int = 90) -> None:
        """`plan_defaults`: for what a plan leaves open. `quota_days`: how long the ledger's rows are kept."""
        self._kept = timedelta(days=quota_days)
        self._bq, self._plan_defaults = bq, plan_defaults or PlanLimits()
        self._key_versions = TableVersions(bq, bq.control(), BLOCKS["find_key_holders"].read)
        self._listed_keys = SmallTables(bq, bq.control(), KEY_TABLES, spares="find_key_holders")
        self._listed_leases = SmallTables(bq, bq.control(), LEASE_TABLES, spares="list_leases")
        # Read beside a statement that reserves, and no more often than that.
        self._subscription_versions = TableVersions(bq, bq.control(), ["tenant_subscriptions"], min_interval_seconds=0.0)
        self._lease_versions = TableVersions(bq, bq.control(), BLOCKS["list_leases"].read)
        # Read rarely, but at once after a change by this process, see `UsageMemory`.
        self._usage_versions = TableVersions(bq, bq.control(), sorted(set(BLOCKS["read_usage"].read)), min_interval_seconds=0.0)

    async def key_version(self) -> Version | None:
        """The version of the tables that `find_key_holders` reads, see `TableVersions`."""
        return await self._key_versions.current()

    @staticmethod
    def version_of_keys(version: Version | None) -> Version | None:
        """The part of a `key_version` that is the version of `tenant_api_keys`, the table that `list_key_digests` reads."""
        return None if version is None else (version[BLOCKS["find_key_holders"].read.index("tenant_api_keys")],)

    async def subscription_version(self) -> Version | None:
        """The version of the table of subscriptions, which has the tenants' limits of cost."""
        return await self._subscription_versions.current()

    async def lease_version(self) -> Version | None:
        """The version of the table that `list_leases` reads."""
        return await self._lease_versions.current()

    async def usage_version(self) -> Version | None:
        """The version of the tables that `read_usage` reads."""
        return await self._usage_versions.current()

    async def find_key_holders(self, handles: Sequence[str], now: datetime) -> dict[str, KeyHolder]:
        """The holders of the active, unexpired keys with these handles, by handle: SHA-256 of the key, or `by_id`. Unknown ones are
        missing.
        """
        ids = {handle: handle.partition("/")[2] for handle in handles if handle.startswith(BY_ID)}
        hashes = [handle for handle in handles if handle not in ids]
        if (listed := await self._listed_keys.rows()) is not None:
            rows = key_holders(*listed, hashes=frozenset(hashes), ids=frozenset(ids.values()), now=now)
        else:
            rows = await self._rows("find_key_holders", {"api_key_hashes": hashes, "api_key_ids": sorted(ids.values()), "now": now})
        found = {row["api_key_hash"]: self._holder(row) for row in rows}
        found |= {by_id(holder.tenant_id, holder.api_key_id): holder for holder in found.values()}
        return {handle: found[handle] for handle in handles if handle in found}

    async def list_key_digests(self, now: datetime, *, limit: int) -> list[str]:
        """The hashes of the active, unexpired keys, at most `limit` of them."""
        row = (await self._bq.query(BLOCKS["list_key_digests"], {"now": now, "row_limit": limit}, dataset=self._bq.control())).only_row
        return row["digests"].split(",") if row["digests"] else []

    def _holder(self, row: Mapping[str, Any]) -> KeyHolder:
        return KeyHolder(
            tenant_id=row["tenant_id"],
            api_key_id=row["api_key_id"],
            scopes=tuple(row["scopes"] or ()),
            tenant_active=row["tenant_active"],
            subscription_active=row["subscription_active"],
            expires_at=row["expires_at"],
            limits=self._plan_defaults.overridden(row),
        )

    async def list_api_keys(self, tenant_id: str, *, after: tuple[datetime, str] | None, limit: int) -> list[StoredKey]:
        """At most `limit` keys of a tenant, newest first, from the one after `after` (its `page_key`) on."""
        after_created_at, after_id = after or (None, None)
        params = {"tenant_id": tenant_id, "after_created_at": after_created_at, "after_id": after_id, "row_limit": limit}
        return [StoredKey.from_row(row) for row in await self._rows("list_api_keys", params)]

    async def find_api_keys(self, tenant_id: str, api_key_ids: Sequence[str]) -> dict[str, StoredKey]:
        """Those of these keys that the tenant has, by id."""
        rows = await self._rows("find_api_keys", {"tenant_id": tenant_id, "api_key_ids": api_key_ids})
        return {row["api_key_id"]: StoredKey.from_row(row) for row in rows}

    async def insert_api_key(self, key: StoredKey, api_key_hash: str) -> bool:
        """Stores a new key; False if there is no such tenant, or if a replay finds the key already stored."""
        params = {
            "api_key_id": key.api_key_id,
            "tenant_id": key.tenant_id,
            "api_key_hash": api_key_hash,
            "scopes": key.scopes,
            "expires_at": key.expires_at,
            "now": key.created_at,
        }
        return await self._change("insert_api_key", params) > 0

    async def rotate_api_key(self, old_api_key_id: str, new: StoredKey, api_key_hash: str, *, old_ends_at: datetime) -> None:
        """Stores `new` with the old key's scopes, and sets the old one's end, unless it ends earlier. Does nothing for an inactive key;
        `find_api_keys` shows the result.
        """
        params = {
            "tenant_id": new.tenant_id,
            "old_api_key_id": old_api_key_id,
            "api_key_id": new.api_key_id,
            "api_key_hash": api_key_hash,
            "old_ends_at": old_ends_at,
            "expires_at": new.expires_at,
            "now": new.created_at,
        }
        await self._change("rotate_api_key", params)

    async def record_key_usage(self, used: Mapping[str, datetime]) -> None:
        """Records when keys were last used, by id."""
        await self._change("record_key_usage", {"used": [{"api_key_id": key, "used_at": at} for key, at in used.items()]})

    async def revoke_api_key(self, tenant_id: str, api_key_id: str) -> None:
        """Revokes a key; does nothing if the tenant has no key of this id."""
        await self._change("revoke_api_key", {"tenant_id": tenant_id, "api_key_id": api_key_id})

    async def read_usage(self, tenant_ids: Sequence[str], ids: Sequence[str], now: datetime, today: date) -> dict[str, Usage]:
        """Today's rows by tenant, each with those of `ids` that hold a reservation. Tenants without a row for today are missing."""
        rows = await self._rows("read_usage", {"tenant_ids": tenant_ids, "ids": ids, "now": now, "today": today})
        return {row["tenant_id"]: self._usage(row) for row in rows}

    def unused(self, tenant_id: str, today: date) -> Usage:
        """The usage of a tenant that has no subscription, and so no row."""
        return Usage.nothing(tenant_id, today, max_export_bytes=self._plan_defaults.max_export_bytes)

    def _usage(self, row: Mapping[str, Any]) -> Usage:
        most = self._plan_defaults.overridden({"max_export_bytes": row["max_export_bytes"]}).max_export_bytes
        return Usage.from_row({**row, "max_export_bytes": most})

    async def open_day(self, tenant_ids: Sequence[str], now: datetime, today: date) -> None:
        """Creates missing rows for today of tenants that have a subscription, and opens them: live runs move into them."""
        await self._change("open_day", {"tenant_ids": tenant_ids, "now": now, "today": today})

    async def reset_day(self, now: datetime, today: date) -> tuple[int, int]:
        """Flow 3C. Returns the number of rows of past days, which are zero now, and the number of rows that were deleted as too old."""
        params = {"now": now, "today": today, "oldest_day": today - self._kept}
        row = (await self._bq.query(BLOCKS["reset_day"], params, dataset=self._bq.control())).only_row
        return row["records_updated"], row["records_archived"]

    async def wait_for_budget(self) -> None:
        """Waits until the rate limit of the ledger's table allows another statement."""
        await self._bq.wait_for_budget(BLOCKS["reserve"], dataset=self._bq.control())

    async def reserve(
        self, requests: Sequence[ReservationRequest], now: datetime, today: date, lease_expires_at: datetime, *, all_or_none: bool = False
    ) -> int:
        """Grants what the limits leave, in the order of `requests`; with `all_or_none` only to tenants to which they leave all that is
        requested. Returns to how many tenants something was granted; `read_usage` shows what.
        """
        numbered = [{**asdict(request), "seq": seq} for seq, request in enumerate(requests)]
        ids = [request.reservation_id for request in requests]
        params = {"ids": ids, "requests": numbered, "now": now, "today": today, "lease_expires_at": lease_expires_at}
        return await self._change("reserve", params | {"all_or_none": all_or_none})

    async def renew(self, ids: Sequence[str], now: datetime, since: date, lease_expires_at: datetime) -> None:
        """Extends the leases of those `ids` whose lease has not expired. `list_leases` shows which."""
        await self._change("renew", {"ids": ids, "now": now, "since": since, "lease_expires_at": lease_expires_at})

    async def settle(self, settlements: Sequence[Settlement], now: datetime) -> None:
        """Ends reservations and counts the outcomes of those that were still held, and each cost once."""
        params = {
            "settlements": [
                {**asdict(one), **asdict(one.cost or RecordedUsage()), "has_cost": one.cost is not None} for one in settlements
            ],
            "ids": [one.reservation_id for one in settlements],
            # Units may have been taken on an earlier day than the one that the caller knows.
            "since": min(one.usage_date for one in settlements) - LIVE_FOR,
            "now": now,
        }
        await self._change("settle", params)

    async def usage_by_day(self, tenant_id: str, first: date, last: date) -> dict[date, EndedRuns]:
        """What the tenant's runs have used, by day, in order; days on which none has ended are missing."""
        params = {"tenant_id": tenant_id, "first_day": first, "last_day": last}
        return {row.pop("usage_date"): EndedRuns.from_row(row) for row in await self._rows("usage_by_day", params)}

    async def usage_by_tenant(self, first: date, last: date, *, after: str, limit: int) -> tuple[EndedRuns, dict[str, EndedRuns]]:
        """What all tenants' runs have used together, and at most `limit` tenants, in order, from the one after `after` on."""
        params = {"first_day": first, "last_day": last, "after": after, "row_limit": limit + 1}
        found = {row.pop("tenant_id"): EndedRuns.from_row(row) for row in await self._rows("usage_by_tenant", params)}
        return found.pop(None, EndedRuns()), found

    async def list_leases(self, since: date) -> list[StoredLease]:
        """All reservations, those whose lease has expired included, of the days from `since` on."""
        if (listed := await self._listed_leases.rows()) is not None:
            return [StoredLease(**row) for row in leases(listed[0], since)]
        return [StoredLease(**row) for row in await self._rows("list_leases", {"since": since})]

    async def _rows(self, block: str, params: Mapping[str, object]) -> list[dict[str, Any]]:
        return (await self._bq.query(BLOCKS[block], params, dataset=self._bq.control())).rows

    async def _change(self, block: str, params: Mapping[str, object]) -> int:
        return (await self._bq.query(BLOCKS[block], params, dataset=self._bq.control())).affected
