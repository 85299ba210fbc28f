"""What breaks callers of the last release is found, and what only adds something is not."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tools.openapi.compatibility import breaks, last_release
from tools.openapi.document import openapi
from tools.openapi.outline import outline
from tools.openapi.protos import read_descriptors

type Change = Callable[[dict[str, Any]], object]
RUNS = "/api/v1/pipelines/runs/{tenant_id}"


@cache
def document() -> dict[str, Any]:
    return openapi(read_descriptors())


def after(change: Change) -> list[str]:
    """What the change breaks."""
    changed = deepcopy(document())
    change(changed)
    return breaks(outline(document()), outline(changed))


def schema(document: dict[str, Any], name: str) -> Any:
    return document["components"]["schemas"][name]


def parameter(document: dict[str, Any], name: str) -> Any:
    return next(one for one in document["paths"][RUNS]["get"]["parameters"] if one.get("name") == name)


def body(document: dict[str, Any]) -> Any:
    operation = document["paths"]["/api/v1/tenants/{tenant_id}/schedules"]["post"]
    return operation["requestBody"]["content"]["application/json"]["schema"]


BREAKING: dict[str, tuple[Change, str]] = {
    "a field is removed": (lambda one: schema(one, "Run")["properties"].pop("status"), "is gone: Run has status: string"),
    "a type is changed": (
        lambda one: schema(one, "Run")["properties"]["attempt"].update(type="string"),
        "is gone: Run has attempt: integer int32",
    ),
    "a field may be absent now": (lambda one: schema(one, "Run")["required"].remove("status"), "is gone: Run always has status"),
    "a path is renamed": (
        lambda one: one["paths"].update({"/api/v2/runs": one["paths"].pop(RUNS)}),
        f"is gone: GET {RUNS} is ListRuns",
    ),
    "a verb is changed": (
        lambda one: one["paths"][RUNS].update(post=one["paths"][RUNS].pop("get")),
        f"is gone: GET {RUNS} is ListRuns",
    ),
    "a parameter is removed": (
        lambda one: one["paths"][RUNS]["get"]["parameters"].remove(parameter(one, "date")),
        f"is gone: GET {RUNS} takes query date: string",
    ),
    "a parameter is required now": (lambda one: parameter(one, "date").update(required=True), f"is new: GET {RUNS} needs query date"),
    "a field of a body is required now": (
        lambda one: body(one)["required"].append("timezone"),
        "is new: POST /api/v1/tenants/{tenant_id}/schedules needs body timezone",
    ),
    "a word is removed": (lambda one: schema(one, "RunStatus")["enum"].remove("CANCELLED"), "is gone: RunStatus = CANCELLED"),
    "a word of a parameter is removed": (
        lambda one: schema(one, "RunStatus")["enum"].remove("CANCELLED"),
        f"is gone: GET {RUNS} takes query status = CANCELLED",
    ),
    "an error reason is removed": (
        lambda one: schema(one, "ErrorReason")["enum"].remove("RUN_NOT_FOUND"),
        "is gone: ErrorReason = RUN_NOT_FOUND",
    ),
    "another key is needed": (
        lambda one: one["paths"][RUNS]["get"].update(security=[{"admin": []}]),
        f"is gone: GET {RUNS} by tenant",
    ),
    "the answer is another message": (
        lambda one: one["paths"][RUNS]["get"]["responses"]["200"]["content"]["application/json"].update(
            schema={"$ref": "#/components/schemas/Run"}
        ),
        f"is gone: GET {RUNS} answers application/json ListRunsResponse",
    ),
}
ADDING: dict[str, Change] = {
    "a field": lambda one: schema(one, "Run")["properties"].update(colour={"type": "string", "description": "New."}),
    "a field that is always there": lambda one: schema(one, "Run")["required"].append("user_id"),
    "a word": lambda one: schema(one, "RunStatus")["enum"].append("PAUSED"),
    "an optional parameter": lambda one: one["paths"][RUNS]["get"]["parameters"].append(
        {"name": "new", "in": "query", "schema": {"type": "string"}}
    ),
    "a parameter that need not be given any more": lambda one: body(one)["required"].remove("schedule_cron"),
    "a call that needs something": lambda one: one["paths"].update({"/api/v1/new/{id}": {"get": _call()}}),
    "a description": lambda one: schema(one, "Run").update(description="Another text."),
}


def _call() -> dict[str, Any]:
    taken = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Run"}}}}
    return {"operationId": "New", "security": [], "parameters": [taken], "responses": {"200": answer}}


@pytest.mark.parametrize("what", BREAKING)
def test_it_is_found_when(what: str) -> None:
    change, line = BREAKING[what]
    assert line in after(change)


@pytest.mark.parametrize("what", ADDING)
def test_nothing_breaks_by(what: str) -> None:
    assert after(ADDING[what]) == []


def test_the_last_release_is_found_by_its_number(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make release-contract"):
        last_release(tmp_path)
    for name in ("0.9", "0.10", "0.2"):
        (tmp_path / name).mkdir()
    assert last_release(tmp_path).name == "0.10"


def test_words_that_are_declared_later_break_no_one() -> None:
    """A text stays a text."""
    before = deepcopy(document())
    schema(before, "Run")["properties"]["status"] = {"type": "string", "description": "The status."}
    assert breaks(outline(before), outline(document())) == []
