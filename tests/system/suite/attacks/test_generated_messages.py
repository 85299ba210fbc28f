"""Any bytes as a request of any public RPC, over native gRPC and with a good key: an answer or a refusal that says why, never a fault."""

import pytest
from hypothesis import given, settings

from tests.support.attacks import THOROUGH
from tests.support.attacks.answers import faults, leaks
from tests.support.attacks.calls import Gateway
from tests.support.attacks.generated import ONCE, how_many
from tests.support.attacks.new_log_lines import NewLogLines
from tests.support.attacks.rpcs import Rpc, public_rpcs
from tests.support.attacks.wire_bytes import Known, request_bytes
from tests.support.attacks.world import Proofs, Victim

FEW = 3
"""Requests of each RPC in `make test`."""


@pytest.mark.timeout(3600 if THOROUGH else 120)
@pytest.mark.parametrize("rpc", public_rpcs(), ids=lambda rpc: rpc.method.name)
def test_no_bytes_are_too_much(gateway: Gateway, victim: Victim, proofs: Proofs, known: Known, logs: NewLogLines, rpc: Rpc) -> None:
    @settings(ONCE, max_examples=how_many(rpc, len(public_rpcs()), few=FEW))
    @given(raw=request_bytes(rpc, proofs.known(rpc, known)))
    def attack(raw: bytes) -> None:
        answer = gateway.native(rpc.path, raw, proofs.of(rpc), streams=rpc.streams)
        secrets = victim.secrets if rpc.caller != "admin" else ()  # an operator sees all tenants
        assert [*faults(answer), *leaks(answer, sent=raw, secrets=secrets)] == []

    attack()
    assert logs.faults() == []
