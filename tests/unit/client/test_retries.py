"""What is sent again, when, and for how long."""

import pytest
from convergence.auth.v1 import api_key_service_pb2, quota_service_pb2
from convergence.client import Retry, errors
from convergence.executor.v1 import pipeline_service_pb2, run_pb2

from services.platform import errors as service
from tests.unit.client.conftest import Caller, Make
from tests.unit.client.scripted import Refusal, refused

QUOTA = quota_service_pb2.GetQuotaResponse(tenant_id="acme_corp")
STARTED = pipeline_service_pb2.RunPipelineResponse(pipeline_logging_id="run-1")


async def test_a_read_is_sent_again_after_a_growing_wait_with_jitter(caller: Caller) -> None:
    caller.script.on("GetQuota", Refusal(), Refusal(), Refusal(), QUOTA)
    assert await caller.call(lambda client: client.quota.get()) == QUOTA
    assert caller.clock.waits == [0.125, 0.25, 0.5]


async def test_a_wait_that_the_server_asks_for_is_kept(caller: Caller) -> None:
    caller.script.on("GetQuota", refused(service.ResourceExhausted, "RATE_LIMITED", retry_after=7), QUOTA)
    assert await caller.call(lambda client: client.quota.get()) == QUOTA
    assert caller.clock.waits == [7.125]


async def test_a_wait_in_a_header_of_the_gateway_counts_as_well(caller: Caller) -> None:
    caller.script.on("GetQuota", Refusal(trailers=(("retry-after", "3"),)), QUOTA)
    assert await caller.call(lambda client: client.quota.get()) == QUOTA
    assert caller.clock.waits == [3.125]


async def test_no_one_sleeps_until_midnight(caller: Caller) -> None:
    caller.script.on("RunPipeline", refused(service.ResourceExhausted, "DAILY_LIMIT_REACHED", retry_after=26_398))
    with pytest.raises(errors.DailyLimitReached) as raised:
        await caller.call(lambda client: client.pipelines.run("gcp/cost/billing"))
    assert raised.value.retry_after is not None
    assert (caller.clock.waits, raised.value.retry_after.total_seconds()) == ([], 26_398)


async def test_a_wait_that_does_not_fit_the_deadline_is_not_begun(caller: Caller) -> None:
    caller.script.on("GetQuota", refused(service.ResourceExhausted, "RATE_LIMITED", retry_after=7))
    with pytest.raises(errors.RateLimited):
        await caller.call(lambda client: client.quota.get(timeout=6))
    assert caller.clock.waits == []


async def test_the_deadline_is_that_of_the_call_not_of_an_attempt(caller: Caller) -> None:
    caller.script.on("GetQuota", refused(service.Unavailable, "SERVICE_UNAVAILABLE", retry_after=10), QUOTA)
    await caller.call(lambda client: client.quota.get(timeout=30))
    first, second = (sent.seconds for sent in caller.script.sent["GetQuota"])
    assert first is not None
    assert second is not None
    assert 28 < first < 32
    assert 18 < second < 22


async def test_a_limit_that_waiting_does_not_lift_is_raised_at_once(caller: Caller) -> None:
    caller.script.on("GetQuota", refused(service.ResourceExhausted, "CONCURRENT_LIMIT_REACHED"))
    with pytest.raises(errors.ConcurrentLimitReached) as raised:
        await caller.call(lambda client: client.quota.get())
    assert (raised.value.retry_after, caller.clock.waits) == (None, [])


async def test_patience_ends(make: Make) -> None:
    caller = make(retry=Retry(attempts=2))
    caller.script.on("GetQuota", Refusal(), Refusal(), QUOTA)
    with pytest.raises(errors.Unavailable):
        await caller.call(lambda client: client.quota.get())
    assert len(caller.script.sent["GetQuota"]) == 2


@pytest.mark.parametrize(
    ("rpc", "what"),
    [
        ("CreateApiKey", lambda client: client.keys.create()),
        ("RotateApiKey", lambda client: client.keys.rotate("k-1")),
        ("TestNotification", lambda client: client.notifications.test("SLACK")),
        ("ProcessQueue", lambda client: client.jobs.process_queue()),
    ],
)
async def test_what_would_happen_twice_is_sent_once(caller: Caller, rpc: str, what: object) -> None:
    caller.script.on(rpc, Refusal(), api_key_service_pb2.CreateApiKeyResponse())
    with pytest.raises(errors.Unavailable):
        await caller.call(what)  # type: ignore[arg-type]
    assert len(caller.script.sent[rpc]) == 1


async def test_a_run_is_started_once_by_a_key_that_all_attempts_share(caller: Caller) -> None:
    caller.script.on("RunPipeline", Refusal(), STARTED, STARTED)
    for _ in range(2):
        assert await caller.call(lambda client: client.pipelines.run("gcp/cost/billing", {"date": "yesterday"})) == STARTED
    keys = [sent.metadata["idempotency-key"] for sent in caller.script.sent["RunPipeline"]]
    ids = [sent.metadata["x-request-id"] for sent in caller.script.sent["RunPipeline"]]
    assert keys[0] == keys[1] != keys[2]
    assert ids[0] == ids[1] != ids[2]


async def test_a_caller_s_own_key_is_sent(caller: Caller) -> None:
    caller.script.on("RunPipeline", STARTED)
    await caller.call(lambda client: client.pipelines.run("gcp/cost/billing", idempotency_key="nightly-2026-11-26"))
    assert caller.script.sent["RunPipeline"][0].metadata["idempotency-key"] == "nightly-2026-11-26"


async def test_only_calls_that_take_a_key_send_one(caller: Caller) -> None:
    caller.script.on("GetRun", run_pb2.Run())
    await caller.call(lambda client: client.runs.get("run-1"))
    assert "idempotency-key" not in caller.script.sent["GetRun"][0].metadata


async def test_a_closed_client_says_so(caller: Caller) -> None:
    await caller.call(lambda _: caller.link.close())
    with pytest.raises(errors.ConfigurationError, match="closed"):
        await caller.call(lambda client: client.quota.get())
