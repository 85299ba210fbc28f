"""Every public RPC, called through the gateway by whom it is not for: refused for the right reason, nothing learned, nothing changed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest

from tests.support.attacks import THOROUGH
from tests.support.attacks.access_attacks import Attack, Attacker, access_attacks, spoofed, variants
from tests.support.attacks.answers import Answer, leaks
from tests.support.attacks.calls import Gateway
from tests.support.attacks.rpcs import peer_rpcs, public_rpcs
from tests.support.attacks.world import Keys, Victim
from tests.system.tenants import Suite, Tenant

AT_ONCE = 8
FEWEST = 12
SOME_OF_REST = 3
"""Every third attack is made over REST, too: of each kind some, and of each RPC some."""
SOME = 11
"""Every eleventh is made in `make test`: each RPC has at least FEWEST, so that one of each is made, and each time of another kind."""
IN_A_PATH = {"ADMIN_KEY_MISSING", "BAD_FIELD", "METHOD_NOT_ALLOWED", "PATH_NOT_FOUND", "REQUEST_MALFORMED"}
"""What else becomes of an odd tenant_id in a URL: it is another path (without one, `credentials` becomes a tenant_id), none, or no text."""
GRPCS_OWN = (
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)

type Send = Callable[[Attack], Answer]


@pytest.fixture(scope="module")
def attacks(running: Suite, victim: Victim, attacker: Tenant, keys: Keys) -> list[Attack]:
    by = Attacker(tenant_id=attacker.tenant_id, keys=keys, admin_key=running.env["ADMIN_API_KEY"])
    each = {rpc: list(access_attacks(rpc, victim, by)) for rpc in public_rpcs()}
    assert [rpc.path for rpc, made in each.items() if len(made) < FEWEST and rpc.caller != "anyone"] == []
    return list(chain.from_iterable(each.values()))


def sent(attack: Attack) -> bytes:
    return attack.request.SerializeToString() + str(attack.metadata).encode()


def broken(attacks: list[Attack], send: Send, victim: Victim) -> list[str]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(zip(attacks, pool.map(send, attacks), strict=True))
    found = [f"{attack}: {answer.kind}, not {attack.expected}" for attack, answer in answers if answer.kind != attack.expected]
    leaked = [(attack, leaks(answer, sent=sent(attack), secrets=victim.secrets)) for attack, answer in answers]
    return found + [f"{attack}: says {secrets}" for attack, secrets in leaked if secrets]


@pytest.mark.parametrize("every", [SOME, 1], ids=["some", "all"])
def test_no_one_is_let_in(gateway: Gateway, victim: Victim, attacks: list[Attack], every: int) -> None:
    chosen = attacks[::every]
    assert {attack.rpc.path for attack in chosen} == {attack.rpc.path for attack in attacks}
    odd = set(variants(victim.tenant_id))

    def natively(attack: Attack) -> Answer:
        return gateway.native(attack.rpc.path, attack.request.SerializeToString(), attack.metadata, streams=attack.rpc.streams)

    def by_rest(attack: Attack) -> Answer:
        answer = gateway.rest(attack.rpc, attack.request, attack.metadata)
        if getattr(attack.request, "tenant_id", None) in odd and answer.reason in IN_A_PATH:
            return Answer(code=attack.expected[0], reason=attack.expected[1], said=answer.said)
        return answer

    before = victim.rows()
    assert [table for table in ("runs", "schedules", "queue", "credentials", "keys", "profile") if not before[table]] == []
    assert broken(chosen, natively, victim) == []
    assert broken(chosen[:: 1 if THOROUGH else SOME_OF_REST], by_rest, victim) == []
    assert victim.rows() == before


@pytest.mark.parametrize("path", [*(rpc.path for rpc in peer_rpcs()), *GRPCS_OWN])
def test_what_is_for_peers_is_not_there(gateway: Gateway, running: Suite, victim: Victim, path: str) -> None:
    """Whatever is shown, and over both."""
    shown = {"x-api-key": victim.keys.everything, "x-admin-key": running.env["ADMIN_API_KEY"], **spoofed(victim.tenant_id)}
    raw = next((rpc.request(tenant_id=victim.tenant_id).SerializeToString() for rpc in peer_rpcs() if rpc.path == path), b"")
    answers = [gateway.native(path, raw, shown), gateway.plain("POST", path, b"{}", shown)]
    assert [(answer.code, answer.http) for answer in answers] == [("UNIMPLEMENTED", 0), ("NOT_FOUND", 404)]
