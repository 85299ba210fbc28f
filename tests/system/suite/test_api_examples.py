"""The examples of the OpenAPI document are answers of this gateway: the same calls, in order, are answered in the same shape.

`make api-examples` writes them anew, into docs/api/examples.
"""

import json
import os

import pytest

from tests.support.api.conformance import rpcs
from tests.support.api.normal import normal
from tests.support.api.recorder import Recorded
from tests.support.api.refused import record_refusals
from tests.support.api.same_shape import shape
from tests.support.api.scenario import record_calls, record_end
from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite
from tools.openapi.examples import ERRORS, EXAMPLES, Examples

pytestmark = pytest.mark.timeout(300)
RECORD = bool(os.environ.get("RECORD"))


TIMED = {"CancelRun": (".steps[]", ".dq_results[]", ".bytes_", ".slot_ms", ".cost_usd")}
"""What differs from time to time, by call: how far a run has come when it is cancelled."""


@pytest.fixture(scope="module")
def recorded(running: Suite, private_key: Rsa) -> Recorded:
    recorded = Recorded()
    tenant = record_calls(running, private_key, recorded)
    record_refusals(running, private_key, tenant, recorded)
    record_end(running, tenant, recorded)
    return recorded


def test_every_call_is_answered_in_the_shape_of_its_example(recorded: Recorded) -> None:
    calls, errors = normal(recorded)
    if RECORD:
        write(calls, errors)
    stored = Examples.read()
    assert set(calls) == set(stored.calls), "run `make api-examples`"
    for name, call in calls.items():
        example = stored.calls[name]
        asked = (example.path, example.query, example.headers, example.body)
        assert (call["path"], call["query"], call["headers"], call["body"]) == asked, name
        changed = {part for part in shape(call["answer"]) ^ shape(example.answer) if not part.startswith(TIMED.get(name, ()))}
        assert changed == set(), f"{name}: run `make api-examples`, and look at what has changed"


def test_every_refusal_has_the_shape_of_its_example(recorded: Recorded) -> None:
    errors, stored = normal(recorded)[1], Examples.read().errors
    assert set(errors) == set(stored), "run `make api-examples`"
    assert {
        reason: shape(errors[reason]) ^ shape(stored[reason]) for reason in errors if shape(errors[reason]) != shape(stored[reason])
    } == {}


def write(calls: dict[str, object], errors: dict[str, object]) -> None:
    """One file for each package, and one of errors."""
    packages = sorted({rpc.full_name.split(".")[2] for rpc in rpcs().values()})
    files = {package: {name: calls[name] for name in sorted(calls) if f".{package}." in rpcs()[name].full_name} for package in packages}
    EXAMPLES.mkdir(parents=True, exist_ok=True)
    for name, content in {**{f"{package}.json": found for package, found in files.items()}, ERRORS: dict(sorted(errors.items()))}.items():
        (EXAMPLES / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
