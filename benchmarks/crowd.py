"""Creates hundreds of tenants directly in the tables: provisioning is not measured."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from services.platform.access.api_keys import hash_key, new_api_key
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import load_tables
from services.platform.bigquery.sql import Block, make_block
from services.platform.clock import SystemClock
from services.platform.kms.client import Kms
from services.platform.kms.credential_aad import associated_data
from services.platform.settings import ServiceSettings

CALLS = 5
"""Calls of each tenant of a crowd."""
PLANS: Sequence[tuple[Mapping[str, int], int]] = (
    ({}, 5),
    ({"daily_limit": 3}, 3),
    ({"concurrent_limit": 2, "daily_limit": 4}, 2),
    ({"monthly_limit": 1}, 1),
    ({"daily_limit": 0}, 0),
)
"""Limits, and how many of `CALLS` concurrent calls they admit while no run ends."""
UNUSABLE = b'{"project_id": "p", "service_account": {}}'
SEED_SECONDS = 120.0
MAX_CONCURRENT_SETTING_UP = 4
_KIND = "ARRAY<STRUCT<t STRING, key_hash STRING, daily_limit INT64, monthly_limit INT64, concurrent_limit INT64, sealed BYTES>>"
_SEED = """
INSERT INTO tenant_profiles (tenant_id, status) SELECT m.t, 'ACTIVE' FROM UNNEST(@members) AS m;
INSERT INTO tenant_subscriptions (subscription_id, tenant_id, status, daily_limit, monthly_limit, concurrent_limit)
SELECT m.t, m.t, 'ACTIVE', m.daily_limit, m.monthly_limit, m.concurrent_limit FROM UNNEST(@members) AS m;
INSERT INTO tenant_api_keys (api_key_id, tenant_id, api_key_hash, is_active) SELECT m.t, m.t, m.key_hash, TRUE FROM UNNEST(@members) AS m;
INSERT INTO tenant_cloud_credentials (credential_id, tenant_id, provider, encrypted_credentials)
SELECT m.t, m.t, 'GCP', m.sealed FROM UNNEST(@members) AS m;
"""
_SCHEDULES = """
INSERT INTO tenant_pipeline_configs
  (config_id, tenant_id, provider, domain, pipeline_template, schedule_cron, timezone, is_active, next_run_time)
SELECT GENERATE_UUID(), @tenants[OFFSET(MOD(i, ARRAY_LENGTH(@tenants)))], 'gcp', 'cost', 'tiny', '0 0 1 1 *', 'UTC', TRUE, @due
FROM UNNEST(GENERATE_ARRAY(1, @schedules)) AS i
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One tenant of a crowd, with a key of its own."""

    tenant_id: str
    api_key: str = field(repr=False)
    limits: Mapping[str, int]
    admitted: int
    """How many of its concurrent calls its limits admit."""


def new_crowd(tenants: int, *, plans: Sequence[tuple[Mapping[str, int], int]] = PLANS) -> list[Member]:
    """`tenants` new tenants, with the plans in turn."""
    prefix = f"t_{uuid.uuid4().hex[:8]}"
    names = [f"{prefix}_{number:04d}" for number in range(tenants)]
    chosen = [plans[number % len(plans)] for number in range(tenants)]
    return [
        Member(tenant_id=name, api_key=new_api_key(name), limits=limits, admitted=admitted)
        for name, (limits, admitted) in zip(names, chosen, strict=True)
    ]


async def settle_in(
    crowd: Sequence[Member], settings: ServiceSettings, *, credentials: bytes = UNUSABLE, tables: str | tuple[str, ...] = "x_meta"
) -> None:
    """Creates everything that runs need: profile, subscription, key, encrypted credentials, and a dataset with its tables.

    `settings` locates BigQuery and KMS. `credentials`: as they are encrypted, of all tenants; the default's read nothing.
    `tables`: what the names of the tables that are made begin with; runs make the others.
    """
    async with BigQuery(settings, service="crowd") as bq, Kms(settings) as kms:
        sealed = await asyncio.gather(*(_seal(kms, member.tenant_id, credentials) for member in crowd))
        rows = [
            {
                "t": member.tenant_id,
                "key_hash": hash_key(member.api_key),
                **{name: member.limits.get(name) for name in ("daily_limit", "monthly_limit", "concurrent_limit")},
                "sealed": blob,
            }
            for member, blob in zip(crowd, sealed, strict=True)
        ]
        await bq.query(make_block("seed", _SEED, {"members": _KIND}), {"members": rows}, dataset=bq.control(), seconds=SEED_SECONDS)
        made = [
            table.create for table in load_tables(settings.configs_dir / "bigquery" / "tenant").values() if table.name.startswith(tables)
        ]
        room = asyncio.Semaphore(MAX_CONCURRENT_SETTING_UP)
        await asyncio.gather(*(_dataset(bq, bq.tenant(member.tenant_id), made, room) for member in crowd))


async def make_due(tenants: Sequence[str], schedules: int, settings: ServiceSettings) -> None:
    """Creates `schedules` schedules of `gcp/cost/tiny`, distributed over the tenants, that are due now; the next fire time is New Year."""
    kinds = {"tenants": "ARRAY<STRING>", "schedules": "INT64", "due": "TIMESTAMP"}
    async with BigQuery(settings, service="crowd") as bq:
        values = {"tenants": list(tenants), "schedules": schedules, "due": SystemClock().now()}
        await bq.query(make_block("due", _SCHEDULES, kinds), values, dataset=bq.control(), seconds=SEED_SECONDS)


async def _seal(kms: Kms, tenant_id: str, credentials: bytes) -> bytes:
    name = associated_data(tenant_id=tenant_id, provider="GCP", credential_id=tenant_id)
    return (await kms.encrypt(credentials, name)).ciphertext


async def _dataset(bq: BigQuery, name: str, tables: Sequence[Block], room: asyncio.Semaphore) -> None:
    async with room:
        await bq.call("create_dataset", partial(_create, bq, name), seconds=SEED_SECONDS)
        for table in tables:
            await bq.query(table, {}, dataset=name, seconds=SEED_SECONDS)


def _create(bq: BigQuery, name: str, timeout: float) -> None:
    bq.client.create_dataset(name, exists_ok=True, timeout=timeout)
