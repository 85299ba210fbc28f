"""What became of the last notification of a target is shown beside it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from convergence.credentials.v1 import credential_service_pb2 as messages
from convergence.credentials.v1 import delivery_service_pb2 as deliveries
from google.protobuf.struct_pb2 import Struct

from services.credentials.payloads.target_rules import TargetRules
from services.credentials.servicers.delivery import DeliveryServicer
from services.platform.access.caller import Caller, set_caller
from services.platform.errors import InvalidArgument
from services.platform.timestamps import to_datetime, to_timestamp
from tests.integration.credentials.conftest import Budget, Suite
from tests.support.credentials.samples import WEBHOOK

FAR = timedelta(days=1)


async def store(credentials: Suite, tenant_id: str) -> datetime:
    set_caller(Caller(tenant_id=tenant_id))
    sent = Struct()
    sent.update(WEBHOOK)
    await credentials.servicer.SetCredentials(
        messages.SetCredentialsRequest(tenant_id=tenant_id, provider="WEBHOOK", credentials=sent), None
    )
    sealed = await credentials.store.find_sealed(tenant_id, "WEBHOOK")
    assert sealed
    assert sealed.set_at
    return sealed.set_at


async def listed(credentials: Suite, tenant_id: str) -> Any:
    [one] = (await credentials.servicer.ListCredentials(messages.ListCredentialsRequest(tenant_id=tenant_id), None)).credentials
    return one


def outcome(tenant_id: str, set_at: datetime, at: datetime, status: str, problem: str = "") -> deliveries.DeliveryOutcome:
    return deliveries.DeliveryOutcome(
        tenant_id=tenant_id,
        provider="webhook",
        set_at=to_timestamp(set_at),
        delivered_at=to_timestamp(at),
        delivery_status=status,
        delivery_problem=problem,
    )


async def test_the_last_outcome_of_the_target_as_it_is_stored_counts(credentials: Suite, tenant_id: str) -> None:
    """One statement for many; an older outcome changes nothing, nor does one of a target that was replaced."""
    servicer, now = DeliveryServicer(credentials.store), datetime.now(UTC)

    async def record(*outcomes: deliveries.DeliveryOutcome) -> None:
        await servicer.RecordDeliveries(deliveries.RecordDeliveriesRequest(outcomes=outcomes), None)

    async def known() -> tuple[str, str]:
        one = await listed(credentials, tenant_id)
        return one.delivery_status, one.delivery_problem

    set_at = await store(credentials, tenant_id)
    assert await known() == ("", "")
    assert not (await listed(credentials, tenant_id)).HasField("delivered_at")
    spent, problem = Budget(), "The target answered HTTP 500."
    await record(outcome(tenant_id, set_at, now, "FAILED", problem), outcome(tenant_id, set_at, now - FAR, "DELIVERED"))
    assert spent.jobs() == {"record_deliveries": 1}
    assert await known() == ("FAILED", problem)
    assert to_datetime((await listed(credentials, tenant_id)).delivered_at) == now
    await record(outcome(tenant_id, set_at, now - FAR, "DELIVERED"))
    assert await known() == ("FAILED", problem)
    await record(outcome(tenant_id, set_at, now + FAR, "DELIVERED"))
    assert await known() == ("DELIVERED", "")
    await store(credentials, tenant_id)
    await record(outcome(tenant_id, set_at, now + 2 * FAR, "FAILED", problem))
    assert await known() == ("", "")


async def test_outcomes_are_bounded(credentials: Suite, tenant_id: str) -> None:
    servicer, now = DeliveryServicer(credentials.store), datetime.now(UTC)
    for outcomes, field in (
        ([outcome(tenant_id, now, now, "DELIVERED")] * 41, "outcomes"),
        ([outcome(tenant_id, now, now, "FINE")], "outcomes[0].delivery_status"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            await servicer.RecordDeliveries(deliveries.RecordDeliveriesRequest(outcomes=outcomes), None)
        assert refused.value.field == field


@pytest.mark.parametrize("url", ["http://localhost:8000/hook", "http://127.0.0.1/", "http://[::1]:8000/"])
def test_plain_http_to_this_machine_is_for_a_laptop(url: str) -> None:
    TargetRules(allow_private=True).check(url, field="credentials.url")
    with pytest.raises(InvalidArgument, match="must be an https address"):
        TargetRules().check(url, field="credentials.url")
