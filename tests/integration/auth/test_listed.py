"""What is listed of small tables, without a charge, is what the statement in its place selects."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.auth.listed import KEY_TABLES, LEASE_TABLES, key_holders, leases
from services.auth.store import BLOCKS, AuthStore
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.bigquery.unbilled import small_tables
from services.platform.bigquery.unbilled.small_tables import SmallTables
from services.platform.clock import utc_day
from tests.integration.auth.conftest import Provision
from tests.support.counting import asked, jobs
from tests.support.set_clock import SetClock

TENANTS = 6
STATES = ("ACTIVE", "ACTIVE", "INACTIVE", "OFFBOARDED", None)


async def write(bq: BigQuery, table: str, kinds: dict[str, str], rows: Sequence[dict[str, Any]]) -> None:
    struct = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    sql = f"INSERT INTO {table} ({', '.join(kinds)}) SELECT {', '.join(f'r.{name}' for name in kinds)} FROM UNNEST(@rows) AS r"
    await bq.query(make_block("rows_of_a_test", sql, {"rows": f"ARRAY<STRUCT<{struct}>>"}), {"rows": rows}, dataset=bq.control())


async def selected(bq: BigQuery, block: str, params: dict[str, object]) -> list[str]:
    return sorted(map(str, (await bq.query(BLOCKS[block], params, dataset=bq.control())).rows))


async def test_keys_of_every_kind(bq: BigQuery, clock: SetClock, tenant_id: str) -> None:
    chance, now = random.Random(7), clock.now()
    tenants = [f"{tenant_id}_{number}" for number in range(TENANTS)]
    times: list[datetime | None] = [None, now - timedelta(days=2), now - timedelta(days=1), now + timedelta(days=1)]
    await write(
        bq,
        "tenant_profiles",
        {"tenant_id": "STRING", "status": "STRING"},
        [{"tenant_id": chance.choice(tenants), "status": chance.choice(STATES)} for _ in range(TENANTS)],
    )
    await write(
        bq,
        "tenant_subscriptions",
        {
            "tenant_id": "STRING",
            "subscription_id": "STRING",
            "status": "STRING",
            "updated_at": "TIMESTAMP",
            "created_at": "TIMESTAMP",
            "max_priority": "INT64",
            "max_export_bytes": "INT64",
        },
        [
            {
                "tenant_id": chance.choice(tenants),
                "subscription_id": f"{chance.choice('aAbB')}{number}",
                "status": chance.choice(STATES),
                "updated_at": chance.choice(times),
                "created_at": chance.choice(times),
                "max_priority": number,
                "max_export_bytes": chance.choice([None, number]),
            }
            for number in range(40)
        ],
    )
    keys: list[dict[str, Any]] = [
        {
            "api_key_id": f"{tenant_id}_key_{number}",
            "tenant_id": chance.choice(tenants),
            "api_key_hash": f"{tenant_id}_hash_{number}",
            "is_active": chance.choice([None, True, False]),
            "scopes": chance.choice([[], ["runs:read"], ["costs:read", "runs:read"]]),
            "expires_at": chance.choice(times),
        }
        for number in range(40)
    ]
    kinds = {"api_key_id": "STRING", "tenant_id": "STRING", "api_key_hash": "STRING", "is_active": "BOOL", "scopes": "ARRAY<STRING>"}
    await write(bq, "tenant_api_keys", {**kinds, "expires_at": "TIMESTAMP"}, keys)
    hashes, ids = [one["api_key_hash"] for one in keys[:30]], [one["api_key_id"] for one in keys[25:]]

    tables = await SmallTables(bq, bq.control(), KEY_TABLES, spares="a test").rows()

    assert tables is not None
    listed = key_holders(*tables, hashes=hashes, ids=ids, now=now)
    assert len({one["tenant_id"] for one in listed}) > 1
    assert sorted(map(str, listed)) == await selected(bq, "find_key_holders", {"api_key_hashes": hashes, "api_key_ids": ids, "now": now})


async def test_leases_of_every_kind(bq: BigQuery, clock: SetClock, tenant_id: str) -> None:
    chance, now = random.Random(8), clock.now()
    runs = [f"{tenant_id}_run_{number}" for number in range(12)]
    live, taken = "reservation_id STRING, lease_expires_at TIMESTAMP", "reservation_id STRING, units INT64, trigger_type STRING"
    for number in range(6):
        own = {
            "tenant_id": f"{tenant_id}_{number % 3}",
            "usage_date": utc_day(now) - timedelta(days=number // 2),
            "live_runs": [
                {"reservation_id": run, "lease_expires_at": chance.choice([None, now, now + timedelta(seconds=number)])}
                for run in chance.sample(runs, number)
            ],
            "reservations": [
                {"reservation_id": run, "units": 1, "trigger_type": chance.choice([None, "api", "scheduler"])}
                for run in chance.sample(runs, 6 - number)
            ],
        }
        params = {
            "tenant_id": "STRING",
            "usage_date": "DATE",
            "live_runs": f"ARRAY<STRUCT<{live}>>",
            "reservations": f"ARRAY<STRUCT<{taken}>>",
        }
        sql = f"INSERT INTO tenant_usage_quotas ({', '.join(own)}) SELECT {', '.join(f'@{name}' for name in own)}"
        await bq.query(make_block("rows_of_a_test", sql, params), own, dataset=bq.control())
    since = utc_day(now) - timedelta(days=1)

    tables = await SmallTables(bq, bq.control(), LEASE_TABLES, spares="a test").rows()

    assert tables is not None
    listed = [one for one in leases(tables[0], since) if one["tenant_id"].startswith(tenant_id)]
    rows = (await bq.query(BLOCKS["list_leases"], {"since": since}, dataset=bq.control())).rows
    assert listed
    assert sorted(map(str, listed)) == sorted(str(row) for row in rows if row["tenant_id"].startswith(tenant_id))


async def test_larger_tables_are_queried(
    bq: BigQuery, store: AuthStore, clock: SetClock, provision: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    await provision(name="_a")
    await provision(name="_b")
    monkeypatch.setattr(small_tables, "MOST_ROWS", 1)
    before = asked("find_key_holders"), jobs("find_key_holders")

    assert await store.find_key_holders(["nothing"], clock.now()) == {}

    assert (asked("find_key_holders"), jobs("find_key_holders")) == (before[0] + 1, before[1] + 1)
    assert await SmallTables(bq, bq.control(), {"tenant_profiles": ("tenant_id", "no_such_column")}, spares="a test").rows() is None
