"""Pages as iteration, and streams that survive a cut."""

from itertools import islice
from typing import Any

import grpc
import pytest
from convergence.client import errors
from convergence.executor.v1 import pipeline_service_pb2, run_pb2, template_pb2, watch_service_pb2

from services.platform import errors as service
from tests.unit.client.conftest import Caller
from tests.unit.client.scripted import Refusal, refused

FIRST = pipeline_service_pb2.ListRunsResponse(runs=[run_pb2.Run(pipeline_logging_id="1")], next_page_token="more")
LAST = pipeline_service_pb2.ListRunsResponse(runs=[run_pb2.Run(pipeline_logging_id="2")])


def asked(caller: Caller, rpc: str, kind: Any) -> list[Any]:
    return [kind.FromString(sent.request) for sent in caller.script.sent[rpc]]


async def test_a_list_is_the_items_of_all_pages(caller: Caller) -> None:
    caller.script.on("ListRuns", FIRST, LAST)
    runs = await caller.call(lambda client: client.runs.list(status="FAILED", page_size=1))
    assert [run.pipeline_logging_id for run in runs] == ["1", "2"]
    requests = asked(caller, "ListRuns", pipeline_service_pb2.ListRunsRequest)
    assert [(request.page_token, request.status, request.page_size) for request in requests] == [("", "FAILED", 1), ("more", "FAILED", 1)]


async def test_a_page_is_fetched_when_it_is_needed(caller: Caller) -> None:
    caller.script.on("ListRuns", FIRST)
    runs = caller.resources.runs.list()
    assert not caller.script.sent["ListRuns"]
    first = [await anext(aiter(runs))] if hasattr(runs, "__aiter__") else list(islice(runs, 1))
    assert (first[0].pipeline_logging_id, len(caller.script.sent["ListRuns"])) == ("1", 1)


async def test_the_answers_themselves_are_there_as_well(caller: Caller) -> None:
    caller.script.on("ListRuns", FIRST, LAST, FIRST)
    assert await caller.call(lambda client: client.runs.list().pages()) == [FIRST, LAST]
    assert await caller.call(lambda client: client.runs.list().first_page()) == FIRST


async def test_a_list_without_pages_is_iterated_over_all_the_same(caller: Caller) -> None:
    templates = [template_pb2.Template(template="billing"), template_pb2.Template(template="focus")]
    caller.script.on("ListTemplates", pipeline_service_pb2.ListTemplatesResponse(templates=templates))
    assert await caller.call(lambda client: client.pipelines.templates()) == templates


def event(event_id: str, kind: str = "STEP", status: str = "RUNNING") -> watch_service_pb2.RunEvent:
    return watch_service_pb2.RunEvent(event=kind, id=event_id, run=run_pb2.Run(pipeline_logging_id="run-1", status=status))


ENDED = run_pb2.Run(pipeline_logging_id="run-1", status="COMPLETED")


@pytest.mark.parametrize(
    "cut", [Refusal(), Refusal(code=grpc.StatusCode.INTERNAL), refused(service.Unavailable, "SERVICE_UNAVAILABLE", retry_after=1)]
)
async def test_a_watch_goes_on_after_the_last_event_that_had_an_id(caller: Caller, cut: Refusal) -> None:
    caller.script.on("WatchRun", [event("1"), event("2"), event("", "WAITING"), cut], [cut], [event("3")])
    events = await caller.call(lambda client: client.runs.watch("run-1"))
    assert [item.id for item in events] == ["1", "2", "", "3"]
    assert [request.last_event_id for request in asked(caller, "WatchRun", watch_service_pb2.WatchRunRequest)] == ["", "2", "2"]


async def test_a_watch_that_is_refused_is_not_opened_again(caller: Caller) -> None:
    caller.script.on("WatchRun", [refused(service.NotFound, "RUN_NOT_FOUND")])
    with pytest.raises(errors.RunNotFound):
        await caller.call(lambda client: client.runs.watch("run-1"))


async def test_a_server_that_only_ever_cuts_is_given_up(caller: Caller) -> None:
    caller.script.on("WatchRun", *([[Refusal()]] * 5))
    with pytest.raises(errors.Unavailable):
        await caller.call(lambda client: client.runs.watch("run-1"))
    assert len(caller.clock.waits) == 4


async def test_a_watch_has_a_deadline_only_if_it_is_given_one(caller: Caller) -> None:
    caller.script.on("WatchRun", [event("1")], [event("1")])
    await caller.call(lambda client: client.runs.watch("run-1"))
    await caller.call(lambda client: client.runs.watch("run-1", timeout=20))
    endless, limited = (sent.seconds for sent in caller.script.sent["WatchRun"])
    assert endless is None or endless > 10**6
    assert limited is not None
    assert 18 < limited < 22


async def test_waiting_gives_the_run_as_it_ended(caller: Caller) -> None:
    caller.script.on("WatchRun", [event("1"), event("2", "RUN", "COMPLETED")])
    caller.script.on("GetRun", ENDED)
    assert await caller.call(lambda client: client.runs.wait("run-1")) == ENDED


@pytest.mark.parametrize(("status", "kind"), [("FAILED", errors.RunFailed), ("CANCELLED", errors.RunCancelled)])
async def test_waiting_for_a_run_that_fails_raises_with_the_run(caller: Caller, status: str, kind: type[errors.RunFailed]) -> None:
    caller.script.on("WatchRun", [event("1", "RUN", status)])
    caller.script.on("GetRun", run_pb2.Run(pipeline_logging_id="run-1", status=status, error_message="No export."))
    with pytest.raises(kind) as raised:
        await caller.call(lambda client: client.runs.wait("run-1"))
    assert raised.value.run.error_message == "No export."
