"""Requests generated of the OpenAPI document: each answer is as the document says, and none is a fault of ours."""

from typing import Any

import pytest
from hypothesis import given, settings
from schemathesis import Case

from tests.support.attacks import THOROUGH
from tests.support.attacks.answers import faults, from_response, leaks
from tests.support.attacks.calls import SECONDS, Gateway
from tests.support.attacks.generated import ONCE, how_many
from tests.support.attacks.new_log_lines import NewLogLines
from tests.support.attacks.openapi_cases import CHECKS, cases, operations
from tests.support.attacks.rpcs import Rpc, public_rpcs
from tests.support.attacks.wire_bytes import Known
from tests.support.attacks.world import Proofs, Victim

FEW = 2
"""Requests of each RPC in `make test`."""
UNARY = [rpc for rpc in public_rpcs() if not rpc.streams]
"""A stream over REST has no end that a client that reads whole answers would see."""


def operation_of(rpc: Rpc) -> Any:
    return operations()[rpc.method.name]


@pytest.mark.timeout(3600 if THOROUGH else 120)
@pytest.mark.parametrize("rpc", UNARY, ids=lambda rpc: rpc.method.name)
def test_answers_are_as_documented(gateway: Gateway, victim: Victim, proofs: Proofs, known: Known, logs: NewLogLines, rpc: Rpc) -> None:
    @settings(ONCE, max_examples=how_many(rpc, len(UNARY), few=FEW))
    @given(case=cases(operation_of(rpc), proofs.known(rpc, known)))
    def attack(case: Case[Any]) -> None:
        response: Any = case.call(base_url=gateway.url, headers=proofs.of(rpc), timeout=SECONDS, session=gateway.session)
        answer = from_response(response)
        secrets = victim.secrets if rpc.caller != "admin" else ()  # an operator sees all tenants
        assert [*faults(answer), *leaks(answer, sent=repr(case).encode(), secrets=secrets)] == []
        case.validate_response(response, checks=CHECKS)

    attack()
    assert logs.faults() == []
