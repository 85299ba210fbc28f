"""A tenant that has something to lose, another one that is after it, and an operator with one role at a time."""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from localcloud.processes.environment import ADMIN_ROLES, admin_key_of, token_secret_of, write_env_file
from localcloud.settings import LocalSettings
from services.auth.sessions.tokens import SessionClaims, SessionTokens
from services.platform.access.scopes import SCOPES
from tests.support.attacks.rpcs import Rpc
from tests.support.credentials.samples import Rsa
from tests.support.invariants.tables import read_tables
from tests.support.set_clock import SetClock
from tests.system.tenants import Suite, Tenant, until

ROLE_KEYS = {role: f"admin_of_the_tests_who_is_{role}_only" for role in ADMIN_ROLES}
DAYS = {"start_date": "2025-11-01", "end_date": "2025-11-03"}
SCHEDULE = {"provider": "gcp", "domain": "cost", "pipeline_template": "billing", "schedule_cron": "0 3 1 1 *"}


def with_one_role_each(settings: LocalSettings) -> dict[str, str]:
    """A setting of the services that adds an admin key for each role to that of the stack."""
    key = admin_key_of(settings)
    write_env_file(settings.env_file, {"ADMIN_API_KEY": key})
    known = [{"role": role, "sha256": hashlib.sha256(one.encode()).hexdigest()} for role in ADMIN_ROLES for one in (key, ROLE_KEYS[role])]
    return {"CONVERGENCE_ADMIN_KEYS": json.dumps(known)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """What a tenant may show."""

    everything: str
    """A key with all scopes."""
    plain: str
    """A key without scopes."""
    by_scope: Mapping[str, str]
    """A key with this scope only."""
    session: str
    """A session token with all scopes."""
    ids: Mapping[str, str]
    """The ids of these keys, by key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Victim:
    """What is worth taking."""

    tenant: Tenant
    keys: Keys
    revoked: str
    """A key that was."""
    expired: str
    """A session token that was good."""
    ids: Mapping[str, str]
    """One of each kind, by the name that fields have for it."""
    page_tokens: Mapping[str, str]
    """The second page of each list that has one, by the RPC's path."""
    secrets: frozenset[bytes]
    """What no other caller may ever read."""

    @property
    def tenant_id(self) -> str:
        return self.tenant.tenant_id

    def rows(self) -> dict[str, list[str]]:
        """All that is stored of it, but for the audit log, in which refused calls are counted, and when its keys were last used."""
        suite, tenant_id = self.tenant.suite, self.tenant_id
        with suite.warehouse as client:
            stored = asdict(read_tables(client, suite.local.control_dataset, tenants=[tenant_id]))
        own = stored.pop("tenants")[tenant_id]
        keys = suite.query(f"SELECT * EXCEPT (last_used_at) FROM tenants.tenant_api_keys WHERE tenant_id = '{tenant_id}'")
        profile = suite.query(f"SELECT * FROM tenants.tenant_profiles WHERE tenant_id = '{tenant_id}'")
        found = {**stored, **own, "keys": keys, "profile": profile}
        return {table: sorted(map(str, rows)) for table, rows in found.items() if not table.startswith("audit")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Proofs:
    """Good keys, for requests that are not."""

    tenant: Tenant
    key: str
    admin_key: str
    spare: str
    """The tenant that the subscription system is asked about: nothing depends on it."""

    def of(self, rpc: Rpc) -> dict[str, str]:
        """What a caller of this RPC shows."""
        return {"tenant": {"x-api-key": self.key}, "admin": {"x-admin-key": self.admin_key}}.get(rpc.caller, {})

    def known(self, rpc: Rpc, known: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
        """Values that lead further, and the tenant for this RPC."""
        mine = self.spare if rpc.caller == "admin" else self.tenant.tenant_id
        return {**known, "tenant_id": [mine] * 20}


def keys_of(tenant: Tenant, by_scope: Sequence[str] = ()) -> Keys:
    """New keys, and one for each of these scopes."""
    made = {name: _issue(tenant, scopes) for name, scopes in {"": [], "all": SCOPES, **{one: [one] for one in by_scope}}.items()}
    everything = made["all"]["api_key"]
    asked = tenant.rest.but(X_API_Key=everything).call("POST", f"/api/v1/tenants/{tenant.tenant_id}/session-tokens", {"scopes": SCOPES})
    assert asked.status == 200, asked.body
    return Keys(
        everything=everything,
        plain=made[""]["api_key"],
        by_scope={scope: made[scope]["api_key"] for scope in by_scope},
        session=asked.body["session_token"],
        ids={one["api_key"]: one["api_key_id"] for one in made.values()},
    )


def new_victim(suite: Suite, private_key: Rsa, lists: tuple[Rpc, ...]) -> Victim:
    """A tenant with keys, credentials, two runs that failed for want of an export, two schedules and a backfill; `lists` are the RPCs by
    which a tenant can see them.
    """
    company, email = f"Victim {uuid.uuid4()}", f"{uuid.uuid4()}@victim.example"
    tenant = suite.tenant(private_key, company_name=company, admin_email=email, requests_per_minute=1_000_000)
    keys = keys_of(tenant)
    revoked = _issue(tenant, [])
    path = f"/api/v1/tenants/{tenant.tenant_id}"
    assert suite.admin.call("DELETE", f"{path}/api-keys/{revoked['api_key_id']}").status == 200
    owner = tenant.rest.but(X_API_Key=keys.everything, X_User_ID="victims_own_user")
    assert owner.call("POST", f"{path}/credentials", tenant.credentials).status == 200
    started = [owner.call("POST", f"/api/v1/pipelines/run/{tenant.tenant_id}/gcp/cost/billing", {"date": "2025-11-17"}) for _ in range(2)]
    runs = [tenant.finished(one)["pipeline_logging_id"] for one in started]
    schedules = [owner.call("POST", f"{path}/schedules", SCHEDULE).body["config_id"] for _ in range(2)]
    assert owner.call("POST", f"{path}/schedules/{schedules[0]}:backfill", DAYS).status == 200
    queued = owner.call("GET", f"{path}/scheduled-runs").body["scheduled_runs"]
    until(tenant.quota, lambda quota: quota["pipelines_failed_today"] == 2, seconds=60)

    tokens = dict[str, str]()
    for rpc in lists:
        answer = owner.call("GET", f"{rpc.template.replace('{tenant_id}', tenant.tenant_id)}?page_size=1")
        if answer.status == 200 and answer.body.get("next_page_token"):
            tokens[rpc.path] = answer.body["next_page_token"]
    ids = {"config_id": schedules[0], "run_id": queued[0]["run_id"], "pipeline_logging_id": runs[0], "api_key_id": keys.ids[keys.plain]}
    expired = _expired(suite, tenant.tenant_id, ids["api_key_id"])
    known = [*ids.values(), *runs, *schedules, *(one["run_id"] for one in queued), *keys.ids, *keys.ids.values(), *tokens.values()]
    known += [tenant.tenant_id, company, email, tenant.project, keys.session, expired, revoked["api_key"], "victims_own_user"]
    return Victim(
        tenant=tenant,
        keys=keys,
        revoked=revoked["api_key"],
        expired=expired,
        ids=ids,
        page_tokens=tokens,
        secrets=frozenset(one.encode() for one in known),
    )


def suspend(tenant: Tenant) -> None:
    """What it has left in the queue is no longer in anyone's way."""
    body = {"company_name": "Acme", "admin_email": "a@acme.example", "status": "SUSPENDED"}
    assert tenant.suite.admin.call("PUT", f"/api/v1/tenants/{tenant.tenant_id}", body).status == 200


def _issue(tenant: Tenant, scopes: object) -> dict[str, Any]:
    issued = tenant.suite.admin.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/api-keys", {"scopes": scopes})
    assert issued.status == 200, issued.body
    body: dict[str, Any] = issued.body
    return body


def _expired(suite: Suite, tenant_id: str, api_key_id: str) -> str:
    """Signed as auth signs, an hour ago."""
    now = datetime.now(UTC)
    tokens = SessionTokens([SecretStr(token_secret_of(suite.local))], SetClock())
    return tokens.issue(
        SessionClaims(
            session_token_id=str(uuid.uuid4()),
            tenant_id=tenant_id,
            api_key_id=api_key_id,
            scopes=SCOPES,
            user_id=None,
            expires_at=now - timedelta(hours=1),
        )
    )
