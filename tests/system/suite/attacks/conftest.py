"""Two tenants on the suite's stack: one is attacked, from the other one's place."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from services.platform.access.scopes import SCOPES
from tests.support.attacks.calls import Gateway, gateway_at
from tests.support.attacks.new_log_lines import NewLogLines
from tests.support.attacks.rpcs import GOOD, public_rpcs
from tests.support.attacks.wire_bytes import Known
from tests.support.attacks.world import SCHEDULE, Keys, Proofs, Victim, keys_of, new_victim, suspend
from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite, Tenant

SMALL: dict[str, Any] = {
    "concurrent_limit": 1,
    "daily_limit": 2,
    "max_queued_runs": 5,
    "max_schedules": 3,
    "max_watchers": 2,
    "requests_per_minute": 1_000_000,
}
"""A plan that lets a caller ask much and start little."""


@pytest.fixture(scope="package")
def gateway(running: Suite) -> Iterator[Gateway]:
    gateway = gateway_at(running.env["GATEWAY_URL"])
    with gateway.channel:
        yield gateway


@pytest.fixture(scope="package")
def victim(running: Suite, private_key: Rsa) -> Iterator[Victim]:
    lists = tuple(rpc for rpc in public_rpcs() if rpc.caller == "tenant" and "page_token" in rpc.fields)
    victim = new_victim(running, private_key, lists)
    yield victim
    suspend(victim.tenant)


@pytest.fixture(scope="package")
def attacker(running: Suite, private_key: Rsa) -> Iterator[Tenant]:
    attacker = running.tenant(private_key, **SMALL)
    yield attacker
    suspend(attacker)


@pytest.fixture(scope="package")
def keys(attacker: Tenant) -> Keys:
    return keys_of(attacker, SCOPES)


@pytest.fixture(scope="package")
def proofs(running: Suite, attacker: Tenant, keys: Keys) -> Proofs:
    return Proofs(
        tenant=attacker,
        key=keys.everything,
        admin_key=running.env["ADMIN_API_KEY"],
        spare=f"t_{uuid.uuid4().hex[:12]}",
    )


@pytest.fixture(scope="package")
def known(attacker: Tenant, victim: Victim) -> Known:
    """By the name of the field: what exists, of the attacker and of the victim."""
    mine = {"config_id": attacker.rest.call("POST", f"/api/v1/tenants/{attacker.tenant_id}/schedules", SCHEDULE).body["config_id"]}
    theirs = {name: [mine[name], value] if name in mine else [value] for name, value in victim.ids.items()}
    texts = {name: [value] for name, value in GOOD.items()}
    return {
        **texts,
        **theirs,
        "scopes": SCOPES,
        "page_token": list(victim.page_tokens.values()),
        "provider": ["gcp", "aws", "azure", "GCP"],
    }


@pytest.fixture
def logs(running: Suite) -> NewLogLines:
    return NewLogLines(running.local.logs_dir)
