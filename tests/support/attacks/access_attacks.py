"""Every way to call an RPC that one may not call, with the refusal that it must get."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from services.platform.access.api_keys import is_mistyped
from services.platform.access.scopes import DEFAULT_SCOPES, SCOPES
from tests.support.attacks import THOROUGH
from tests.support.attacks.rpcs import Rpc
from tests.support.attacks.world import ROLE_KEYS, Keys, Victim

FEW = 3
"""Of the odd tenant ids, and of the other scopes, each RPC gets a third."""

type Kind = tuple[str, str]
type Shown = tuple[Kind, dict[str, str]]
"""The refusal that is due, and the headers that are sent."""

NO_KEY: Kind = ("UNAUTHENTICATED", "API_KEY_MISSING")
BAD_KEY: Kind = ("UNAUTHENTICATED", "API_KEY_INVALID")
BAD_TOKEN: Kind = ("UNAUTHENTICATED", "TOKEN_INVALID")
NO_ADMIN_KEY: Kind = ("UNAUTHENTICATED", "ADMIN_KEY_MISSING")
BAD_ADMIN_KEY: Kind = ("UNAUTHENTICATED", "ADMIN_KEY_INVALID")
OTHER_TENANT: Kind = ("PERMISSION_DENIED", "TENANT_MISMATCH")
OTHER_SCOPE: Kind = ("PERMISSION_DENIED", "SCOPE_MISSING")
OTHER_ROLE: Kind = ("PERMISSION_DENIED", "ADMIN_ROLE_DENIED")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attack:
    """One call."""

    name: str
    rpc: Rpc
    request: Message
    metadata: Mapping[str, str]
    expected: Kind

    def __str__(self) -> str:
        return f"{self.rpc.method.name}, {self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attacker:
    """Who calls: a tenant, or someone who has found out what an admin key looks like."""

    tenant_id: str
    keys: Keys
    admin_key: str
    """A good one, which is shown where it is of no use, or altered."""


def access_attacks(rpc: Rpc, victim: Victim, attacker: Attacker) -> Iterator[Attack]:
    """All on one RPC. None on what is open to anyone."""
    match rpc.caller:
        case "tenant":
            yield from _for(rpc, _theirs(rpc, victim), _without_a_good_key(victim, attacker.admin_key))
            yield from _for(rpc, rpc.request(tenant_id=attacker.tenant_id), _of_other_scopes(rpc, attacker.keys))
            if "tenant_id" in rpc.fields:
                yield from _for(rpc, _theirs(rpc, victim), _of_another_tenant(victim, attacker.keys))
                odd = variants(victim.tenant_id)
                for variant in odd if THOROUGH else odd[rpc.method.index % FEW :: FEW]:
                    shown = {f"tenant_id {variant!r}": (OTHER_TENANT, {"x-api-key": attacker.keys.everything})}
                    yield from _for(rpc, rpc.request(tenant_id=variant), shown)
        case "admin":
            yield from _for(rpc, _theirs(rpc, victim), _without_a_good_admin_key(attacker.keys, attacker.admin_key))
            others = {f"an admin key of role {role}": key for role, key in ROLE_KEYS.items() if role != rpc.rule.admin.role}
            yield from _for(rpc, _theirs(rpc, victim), {name: (OTHER_ROLE, {"x-admin-key": key}) for name, key in others.items()})


def _for(rpc: Rpc, request: Message, shown: Mapping[str, Shown]) -> Iterator[Attack]:
    for name, (expected, metadata) in shown.items():
        yield Attack(name=name, rpc=rpc, request=request, metadata=metadata, expected=expected)


def _theirs(rpc: Rpc, victim: Victim) -> Message:
    return rpc.request(tenant_id=victim.tenant_id, **victim.ids)


def _of_other_scopes(rpc: Rpc, keys: Keys) -> dict[str, Shown]:
    needed = rpc.rule.tenant.scope
    if not needed:
        return {}
    known = list(keys.by_scope.items())
    found: dict[str, Shown] = {
        f"a key with scope {scope}": (OTHER_SCOPE, {"x-api-key": key})
        for scope, key in (known if THOROUGH else known[rpc.method.index % FEW :: FEW])
        if scope != needed
    }
    if needed not in DEFAULT_SCOPES:
        found["a key without scopes"] = (OTHER_SCOPE, {"x-api-key": keys.plain})
    return found


def variants(tenant_id: str) -> list[str]:
    """What must not be taken for this tenant."""
    lookalike = tenant_id.replace("t", "\N{CYRILLIC SMALL LETTER TE}", 1)
    blanks = [f" {tenant_id}", f"{tenant_id} ", f"{tenant_id}\n", f"{tenant_id}\0", f"{tenant_id}\N{NO-BREAK SPACE}"]
    paths = [f"../{tenant_id}", f"x/../{tenant_id}", f"{tenant_id}/", f"{tenant_id}%2f", f"{tenant_id}%00", f"%2e%2e/{tenant_id}"]
    return [tenant_id.upper(), lookalike, *blanks, *paths, "", "*", f"{tenant_id}' OR '1'='1"]


def _without_a_good_key(victim: Victim, admin_key: str) -> dict[str, Shown]:
    key = victim.keys.everything
    mistyped = key[:-1] + ("0" if key[-1] != "0" else "1")
    assert is_mistyped(mistyped)
    return {
        "no key": (NO_KEY, {}),
        "an empty key": (NO_KEY, {"x-api-key": ""}),
        "no key, and headers of ours": (NO_KEY, spoofed(victim.tenant_id)),
        "an admin key": (NO_KEY, {"x-admin-key": admin_key}),
        "a key as a password": (NO_KEY, {"authorization": "Basic " + base64.b64encode(key.encode()).decode()}),
        "a junk key": (BAD_KEY, {"x-api-key": "junk"}),
        "a mistyped key": (BAD_KEY, {"x-api-key": mistyped}),
        "a key in capitals": (BAD_KEY, {"x-api-key": key.upper()}),
        "a key's hash": (BAD_KEY, {"x-api-key": hashlib.sha256(key.encode()).hexdigest()}),
        "a key's id": (BAD_KEY, {"x-api-key": victim.ids["api_key_id"]}),
        "an admin key as a key": (BAD_KEY, {"x-api-key": admin_key}),
        "a revoked key": (BAD_KEY, {"x-api-key": victim.revoked}),
        "a session token as a key": (BAD_KEY, {"x-api-key": victim.keys.session}),
        "a junk key beside a good token": (BAD_KEY, {"x-api-key": "junk", "authorization": f"Bearer {victim.keys.session}"}),
        "a junk token": (BAD_TOKEN, {"authorization": "Bearer junk"}),
        "a key as a token": (BAD_TOKEN, {"authorization": f"Bearer {key}"}),
        "an unsigned token": (BAD_TOKEN, {"authorization": f"Bearer {unsigned(victim.keys.session)}"}),
        "an altered token": (BAD_TOKEN, {"authorization": f"Bearer {altered(victim.keys.session)}"}),
        "a good token spelled otherwise": (BAD_TOKEN, {"authorization": f"Bearer {victim.keys.session}="}),
        "an expired token": (BAD_TOKEN, {"authorization": f"Bearer {victim.expired}"}),
    }


def _of_another_tenant(victim: Victim, keys: Keys) -> dict[str, Shown]:
    shown = {
        "another tenant's key": {"x-api-key": keys.everything},
        "another tenant's key, and headers of ours": {"x-api-key": keys.everything, **spoofed(victim.tenant_id)},
        "another tenant's session token": {"authorization": f"Bearer {keys.session}"},
    }
    return {name: (OTHER_TENANT, metadata) for name, metadata in shown.items()}


def _without_a_good_admin_key(keys: Keys, admin_key: str) -> dict[str, Shown]:
    return {
        "no admin key": (NO_ADMIN_KEY, {}),
        "an empty admin key": (NO_ADMIN_KEY, {"x-admin-key": ""}),
        "no admin key, and headers of ours": (NO_ADMIN_KEY, spoofed("tenants")),
        "a tenant's key": (NO_ADMIN_KEY, {"x-api-key": keys.everything}),
        "a tenant's key as an admin key": (BAD_ADMIN_KEY, {"x-admin-key": keys.everything}),
        "a junk admin key": (BAD_ADMIN_KEY, {"x-admin-key": "junk"}),
        "an admin key in capitals": (BAD_ADMIN_KEY, {"x-admin-key": admin_key.upper()}),
        "an admin key cut short": (BAD_ADMIN_KEY, {"x-admin-key": admin_key[:-1]}),
        "an admin key's hash": (BAD_ADMIN_KEY, {"x-admin-key": hashlib.sha256(admin_key.encode()).hexdigest()}),
        "a tenant's session token": (BAD_TOKEN, {"authorization": f"Bearer {keys.session}"}),
        "an unsigned token": (BAD_TOKEN, {"authorization": f"Bearer {unsigned(keys.session)}"}),
        "an admin key as a token": (BAD_TOKEN, {"authorization": f"Bearer {admin_key}"}),
    }


def spoofed(tenant_id: str) -> dict[str, str]:
    """Headers that would mean something if they were ours."""
    spiffe = "spiffe://convergence.internal/executor"
    return {
        "x-tenant-id": tenant_id,
        "x-forwarded-client-cert": f"By={spiffe};URI={spiffe};DNS=executor.convergence.internal",
        "x-internal-tenant-id": tenant_id,
        "x-internal-caller": "executor",
        "x-admin-role": "provisioner",
        "x-forwarded-for": "127.0.0.1",
        "x-envoy-original-path": "/.well-known/jwks.json",
    }


def unsigned(token: str) -> str:
    """The same claims, `alg: none`."""
    return ".".join((_part({"alg": "none", "typ": "convergence-session+jwt"}), token.split(".")[1], ""))


def altered(token: str) -> str:
    """Good for all scopes and for ever, with the signature that it had."""
    head, said, signature = token.split(".")
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
    return ".".join((head, _part(claims | {"exp": claims["exp"] + 10**9, "scope": " ".join(SCOPES)}), signature))


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
