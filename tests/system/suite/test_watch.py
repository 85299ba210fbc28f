"""The events of a run as server-sent events, through the real gateway."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite, Tenant

pytestmark = pytest.mark.timeout(180)


def events(tenant: Tenant, run: str) -> Iterator[dict[str, Any]]:
    """The stream's events as they come; asserts that the answer is one."""
    url = f"{tenant.rest.url}/api/v1/pipelines/runs/{tenant.tenant_id}/{run}:watch"
    with requests.get(url, headers=dict(tenant.rest.headers), stream=True, timeout=60) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream"), answer.text
        for line in answer.iter_lines():
            if line:
                assert line.startswith(b"data: "), line
                yield json.loads(line.removeprefix(b"data: "))


def test_a_watcher_hears_a_run_s_story_to_its_end_and_again_afterwards(running: Suite, private_key: Rsa) -> None:
    """How it stands at first, each line of the story once and in order, how it ended. Whoever comes late hears the same."""
    tenant = running.tenant(private_key, project="no-billing-export")
    assert tenant.set_credentials().status == 200
    run = tenant.start("2025-11-17").body["pipeline_logging_id"]

    live, late = list(events(tenant, run)), list(events(tenant, run))

    assert [live[0]["event"], live[-1]["event"], live[-1]["run"]["status"]] == ["RUN", "RUN", "FAILED"]
    told = [event["step"] for event in live if event["event"] == "STEP"]
    record = tenant.rest.call("GET", f"/api/v1/pipelines/runs/{tenant.tenant_id}/{run}").body
    assert told == record["steps"]
    assert [step["action"] for step in told][:2] == ["STEP_STARTED", "STEP_FAILED"]
    assert [event["step"] for event in late if event["event"] == "STEP"] == told
    assert (late[0]["run"]["status"], late[-1]["run"]) == ("FAILED", live[-1]["run"])


@pytest.mark.parametrize(
    ("run", "key", "status", "reason"), [("nothing", None, 404, "RUN_NOT_FOUND"), ("nothing", "bad", 401, "API_KEY_INVALID")]
)
def test_what_cannot_be_watched_is_refused_as_elsewhere(
    running: Suite, private_key: Rsa, run: str, key: str | None, status: int, reason: str
) -> None:
    tenant = running.tenant(private_key)
    rest = tenant.rest.but(X_API_Key=key) if key else tenant.rest
    answer = rest.call("GET", f"/api/v1/pipelines/runs/{tenant.tenant_id}/{run}:watch")
    assert (answer.status, answer.body["details"][0]["reason"]) == (status, reason)
