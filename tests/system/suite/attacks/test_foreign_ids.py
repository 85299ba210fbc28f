"""A tenant that names its own tenant, and what is another's: for every field that names something, and every list that has pages."""

from collections.abc import Mapping

import pytest

from tests.support.attacks import THOROUGH
from tests.support.attacks.answers import Answer, leaks
from tests.support.attacks.calls import Gateway
from tests.support.attacks.rpcs import Rpc, is_required, public_rpcs
from tests.support.attacks.world import Keys, Victim
from tests.system.tenants import Suite, Tenant

OF_A_TENANT = [rpc for rpc in public_rpcs() if "tenant_id" in rpc.fields]
WITH_IDS = [(rpc, field) for rpc in OF_A_TENANT for field in rpc.id_fields]
WITH_PAGES = [rpc for rpc in public_rpcs() if "page_token" in rpc.fields]
OURS = {"api_key_id", "config_id", "pipeline_logging_id", "run_id"}
"""Names of what this suite has made: others name what is a cloud's, or a user."""


HARMLESS = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}

type Shown = Mapping[str, Mapping[str, str]]


@pytest.fixture
def shown(running: Suite, keys: Keys) -> Shown:
    """The attacker's proof, by who is expected; the subscription system may be misled, too."""
    return {"admin": {"x-admin-key": running.env["ADMIN_API_KEY"]}, "tenant": {"x-api-key": keys.everything}}


def named(rpc: Rpc) -> str:
    return rpc.method.name


def both(gateway: Gateway, shown: Shown, rpc: Rpc, victim: Victim, **values: str) -> list[Answer]:
    """Over native gRPC and REST; no answer says anything of the victim."""
    request, proof = rpc.request(**values), shown[rpc.caller]
    raw = request.SerializeToString()
    answers = [gateway.native(rpc.path, raw, proof, streams=rpc.streams), gateway.rest(rpc, request, proof)]
    assert [leaks(answer, sent=raw, secrets=victim.secrets) for answer in answers] == [[], []]
    return answers


def test_no_id_of_ours_is_unknown_here() -> None:
    """A new kind of thing has to be made for the victim, too."""
    required = {field.name for _, field in WITH_IDS if is_required(field)}
    assert required - {"billing_account_id"} == OURS


def test_the_victims_ids_lead_nowhere(gateway: Gateway, shown: Shown, attacker: Tenant, victim: Victim) -> None:
    """What is needed is not found; what only narrows a question leads to an empty answer."""
    before = victim.rows()
    wrong = list[tuple[str, Answer]]()
    for rpc, field in WITH_IDS:
        is_ours = is_required(field) and field.name in OURS
        values = [victim.ids[field.name]] if is_ours and not THOROUGH else [*victim.ids.values(), victim.tenant_id]
        for value in values if is_ours or THOROUGH else values[-1:]:
            for answer in both(gateway, shown, rpc, victim, tenant_id=attacker.tenant_id, **{field.name: value}):
                good = answer.code == "NOT_FOUND" and answer.reason.endswith("_NOT_FOUND") if is_ours else answer.code in HARMLESS
                wrong += [] if good else [(f"{rpc.method.name}.{field.name}={value}", answer)]
    assert wrong == []
    assert victim.rows() == before


@pytest.mark.parametrize("rpc", WITH_PAGES, ids=named)
def test_the_victims_pages_open_nowhere(gateway: Gateway, shown: Shown, attacker: Tenant, victim: Victim, rpc: Rpc) -> None:
    """Neither at the list that they are of, nor at another."""
    assert len(victim.page_tokens) >= 3
    for token in victim.page_tokens.values():
        answers = both(gateway, shown, rpc, victim, tenant_id=attacker.tenant_id, page_token=token)
        assert [(*answer.kind, answer.field) for answer in answers] == [("INVALID_ARGUMENT", "BAD_FIELD", "page_token")] * 2
