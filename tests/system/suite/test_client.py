"""The Python client through the real gateway: what an operator and a tenant do with it, and how they are refused."""

import asyncio
from collections.abc import Iterator

import pytest
from convergence.client import AsyncClient, Client, errors

from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite, Tenant

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def acme(running: Suite, private_key: Rsa) -> Tenant:
    return running.tenant(private_key, project="no-billing-export")


@pytest.fixture
def operator(running: Suite, acme: Tenant) -> Iterator[Client]:
    with Client(running.env["GATEWAY_URL"], admin_key=running.env["ADMIN_API_KEY"], tenant_id=acme.tenant_id) as client:
        yield client


@pytest.fixture
def client(running: Suite, acme: Tenant) -> Iterator[Client]:
    with Client(running.env["GATEWAY_URL"], api_key=acme.rest.headers["X-API-Key"], tenant_id=acme.tenant_id, user_id="jo") as client:
        yield client


def test_an_operator_s_keys(operator: Client) -> None:
    made = operator.keys.create(scopes=["runs:read"])
    rotated = operator.keys.rotate(made.api_key_id, overlap_seconds=60)
    assert operator.keys.revoke(rotated.api_key_id).api_key.is_active is False
    listed = {key.api_key_id: key for key in operator.keys.list(page_size=1)}
    assert [listed[one.api_key_id].is_active for one in (made, rotated)] == [True, False]
    assert list(listed[made.api_key_id].scopes) == ["runs:read"]


def test_a_tenant_s_schedule_from_its_birth_to_its_end(client: Client) -> None:
    made = [client.schedules.create("gcp/cost/billing", schedule_cron="0 3 * * *", idempotency_key="k-1") for _ in range(2)]
    assert made[0].config_id == made[1].config_id
    assert made[0].created_by_user_id == "jo"
    changed = client.schedules.update(made[0].config_id, is_active=False, parameters={"date": "yesterday"})
    assert (changed.is_active, changed.schedule_cron) == (False, "0 3 * * *")
    assert [one.config_id for one in client.schedules.list()] == [changed.config_id]
    assert client.schedules.delete(changed.config_id).action == "DELETED"
    with pytest.raises(errors.ScheduleNotFound):
        client.schedules.get(changed.config_id)


def test_a_failed_run_is_waited_for(client: Client, acme: Tenant) -> None:
    sent = acme.credentials
    stored = client.credentials.set(sent["provider"], sent["credentials"])
    assert (stored.action, [one.provider for one in client.credentials.list()]) == ("CREATED", ["GCP"])
    started = client.pipelines.run("gcp/cost/billing", {"date": "2025-11-17"})
    with pytest.raises(errors.RunFailed) as raised:
        client.runs.wait(started.pipeline_logging_id)
    run = raised.value.run
    assert (run.pipeline_logging_id, run.user_id, run.status) == (started.pipeline_logging_id, "jo", "FAILED")
    assert "FAILED" in {step.status for step in run.steps}
    with pytest.raises(errors.RunHasEnded):
        client.runs.cancel(started.pipeline_logging_id)


def test_a_session_token_is_got_again_when_it_is_refused(running: Suite, client: Client, acme: Tenant) -> None:
    tokens = ["not a token".replace(" ", "-")]

    async def token() -> str:
        return tokens.pop() if tokens else client.sessions.create(scopes=["runs:read"], user_id="ann").session_token

    async def calls() -> list[str]:
        async with AsyncClient(running.env["GATEWAY_URL"], token=token, tenant_id=acme.tenant_id) as browser:
            quota = await browser.quota.get()
            runs = [run.tenant_id async for run in browser.runs.list()]
            with pytest.raises(errors.ScopeMissing):
                await browser.pipelines.run("gcp/cost/billing")
            return [quota.tenant_id, *runs]

    assert set(asyncio.run(calls())) == {acme.tenant_id}
    assert tokens == []


def test_refusals_are_classes_and_their_ids_those_of_the_logs(running: Suite, client: Client) -> None:
    with pytest.raises(errors.TenantMismatch) as raised:
        client.quota.get(tenant_id="another_tenant")
    logs = "".join(path.read_text() for path in running.local.logs_dir.glob("auth*.log"))
    assert raised.value.request_id in logs
    stranger = Client(running.env["GATEWAY_URL"], api_key="key_unknown", admin_key="admin_unknown", tenant_id="t_any")
    with stranger, pytest.raises(errors.ApiKeyInvalid):
        stranger.quota.get()
    with Client(running.env["GATEWAY_URL"], admin_key="admin_unknown") as stranger, pytest.raises(errors.AdminKeyInvalid):
        stranger.jobs.status()


def test_what_anyone_may_read_needs_no_key(running: Suite) -> None:
    with Client(running.env["GATEWAY_URL"]) as anyone:
        assert anyone.issuer.configuration().jwks_uri.endswith("/.well-known/jwks.json")
        assert [key.kty for key in anyone.issuer.key_set().keys][:1] == ["RSA"]
