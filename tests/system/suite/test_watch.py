"""The events of a run as server-sent events, through the real gateway."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite, Tenant

pytestmark = pytest.mark.timeout(180)


def events(tenant: Tenant, run: str, last: str = "") -> Iterator[dict[str, Any]]:
    """The stream's events behind `last` as they come; asserts that the answer is one, or 204."""
    url = f"{tenant.rest.url}/api/v1/pipelines/runs/{tenant.tenant_id}/{run}:watch"
    headers = {**tenant.rest.headers, **({"Last-Event-ID": last} if last else {})}
    with requests.get(url, headers=headers, stream=True, timeout=60) as answer:
        if answer.status_code == 204:
            return
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream"), answer.text
        event: dict[str, Any] = {}
        for line in answer.iter_lines(decode_unicode=True):
            name, _, value = line.partition(": ")
            if name == "data":
                event = json.loads(value)
            elif name == "id":
                assert value == event["id"]
            else:
                assert (line, event["id"] == "") == ("", event["event"] == "WAITING")
                yield event


def test_a_watcher_gets_a_run_s_events_to_its_end_and_again_afterwards(running: Suite, private_key: Rsa) -> None:
    """Its status at first, each line once and in order, how it ended. A late watcher gets the same; one that goes on, what it lacks."""
    tenant = running.tenant(private_key, project="no-billing-export")
    assert tenant.set_credentials().status == 200
    run = tenant.start("2025-11-17").body["pipeline_logging_id"]

    live, late = list(events(tenant, run)), list(events(tenant, run))

    assert [live[0]["event"], live[-1]["event"], live[-1]["run"]["status"]] == ["RUN", "RUN", "FAILED"]
    steps = [event["step"] for event in live if event["event"] == "STEP"]
    record = tenant.rest.call("GET", f"/api/v1/pipelines/runs/{tenant.tenant_id}/{run}").body
    assert steps == record["steps"]
    assert [step["action"] for step in steps][:2] == ["STEP_STARTED", "STEP_FAILED"]
    assert [event["step"] for event in late if event["event"] == "STEP"] == steps
    assert (late[0]["run"]["status"], late[-1]["run"]) == ("FAILED", live[-1]["run"])
    shown = [event for event in live if event["event"] != "WAITING"]
    assert [event["id"] for event in late] == [event["id"] for event in shown]
    assert [list(events(tenant, run, event["id"])) for event in shown] == [late[at + 1 :] for at in range(len(late))]


def test_an_id_that_is_none_is_refused(running: Suite, private_key: Rsa) -> None:
    tenant = running.tenant(private_key)
    path = f"/api/v1/pipelines/runs/{tenant.tenant_id}/nothing:watch"
    by_header, by_parameter = tenant.rest.but(Last_Event_ID="7").call("GET", path), tenant.rest.call("GET", f"{path}?last_event_id=7")
    assert {(one.status, one.reason, one.body["details"][0]["metadata"]["field"]) for one in (by_header, by_parameter)} == {
        (400, "BAD_FIELD", "last_event_id")
    }


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
