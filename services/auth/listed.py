"""What `find_key_holders` and `list_leases` select, from all rows of their tables. Pure. `queries.sql` says why it is what counts."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

type Row = Mapping[str, Any]

KEY_TABLES: Final = {
    "tenant_api_keys": ("api_key_hash", "tenant_id", "api_key_id", "scopes", "expires_at", "is_active"),
    "tenant_profiles": ("tenant_id", "status"),
    "tenant_subscriptions": (
        *("tenant_id", "subscription_id", "status", "updated_at", "created_at", "max_priority", "max_schedules", "max_queued_runs"),
        *("max_watchers", "requests_per_minute", "max_export_bytes"),
    ),
}
"""The columns that `key_holders` needs, by table."""
LEASE_TABLES: Final = {"tenant_usage_quotas": ("tenant_id", "usage_date", "live_runs", "reservations")}
"""The same for `leases`."""
_LIMITS: Final = ("max_priority", "max_schedules", "max_queued_runs", "max_watchers", "requests_per_minute", "max_export_bytes")
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def key_holders(
    keys: Iterable[Row],
    profiles: Iterable[Row],
    subscriptions: Iterable[Row],
    *,
    hashes: Collection[str],
    ids: Collection[str],
    now: datetime,
) -> list[dict[str, Any]]:
    """The rows of `find_key_holders`."""
    asked = [
        key
        for key in keys
        if (key["api_key_hash"] in hashes or key["api_key_id"] in ids)
        and key["is_active"] is not False
        and (key["expires_at"] is None or key["expires_at"] > now)
    ]
    tenants = {key["tenant_id"] for key in asked}
    standing = {(row["tenant_id"], row["status"]) for row in profiles if row["tenant_id"] in tenants}
    plans = dict[str, Row]()
    for row in sorted((row for row in subscriptions if row["tenant_id"] in tenants and row["status"] == "ACTIVE"), key=_newest_last):
        plans[row["tenant_id"]] = row
    return [
        {
            **{name: key[name] for name in ("api_key_hash", "tenant_id", "api_key_id", "scopes", "expires_at")},
            "tenant_active": (key["tenant_id"], "ACTIVE") in standing,
            "subscription_active": key["tenant_id"] in plans,
            **{name: plans[key["tenant_id"]][name] if key["tenant_id"] in plans else None for name in _LIMITS},
        }
        for key in asked
        if (key["tenant_id"], "OFFBOARDED") not in standing
    ]


def _newest_last(subscription: Row) -> tuple[datetime, list[int]]:
    # Of equally new ones the first by id counts. So it must sort last, also after an id that begins with it.
    descending = [-ord(letter) for letter in subscription["subscription_id"]] + [1]
    return subscription["updated_at"] or subscription["created_at"] or _LONG_AGO, descending


def leases(rows: Iterable[Row], since: date) -> list[dict[str, Any]]:
    """The rows of `list_leases`."""
    recent = [row for row in rows if row["usage_date"] >= since]
    taken = dict[tuple[str, str], tuple[date, str | None]]()
    for tenant_id, day, one in _entries(recent, "reservations"):
        latest, trigger = taken.get((tenant_id, one["reservation_id"]), (day, None))
        taken[tenant_id, one["reservation_id"]] = max(latest, day), max(filter(None, (trigger, one["trigger_type"])), default=None)
    found = dict[tuple[str, str], tuple[date, datetime]]()
    for tenant_id, day, one in _entries(recent, "live_runs"):
        if (ends := one["lease_expires_at"]) is not None:
            first, last = found.get((tenant_id, one["reservation_id"]), (day, ends))
            found[tenant_id, one["reservation_id"]] = min(first, day), max(last, ends)
    return [
        {
            "tenant_id": tenant_id,
            "reservation_id": identity,
            "usage_date": taken[tenant_id, identity][0] if (tenant_id, identity) in taken else first,
            "lease_expires_at": ends,
            "trigger_type": taken[tenant_id, identity][1] if (tenant_id, identity) in taken else None,
        }
        for (tenant_id, identity), (first, ends) in found.items()
    ]


def _entries(rows: Iterable[Row], column: str) -> Iterator[tuple[str, date, Row]]:
    return ((row["tenant_id"], row["usage_date"], one) for row in rows for one in row[column] or ())
