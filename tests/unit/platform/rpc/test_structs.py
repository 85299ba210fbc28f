"""Structs as they come in: NaN and infinities, which only native gRPC clients can send, are refused by their place."""

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from convergence.credentials.v1 import credential_service_pb2
from convergence.executor.v1 import pipeline_service_pb2, run_service_pb2
from google.protobuf.struct_pb2 import Struct

from services.credentials.servicers.credential import CredentialServicer
from services.executor.servicers.pipeline import PipelineServicer
from services.executor.servicers.run import RunServicer
from services.platform.access.caller import Caller, set_caller
from services.platform.errors import InvalidArgument
from services.platform.rpc.structs import to_mapping
from services.platform.rpc.values import MAX_PATH


def struct(values: Mapping[str, Any]) -> Struct:
    made = Struct()
    made.update(values)
    return made


def test_what_json_has_comes_as_it_is() -> None:
    values = {"text": "a", "number": 1.5, "none": None, "yes": True, "list": [1.0, ["b", {}]], "object": {"deep": {"er": [None]}}}
    assert to_mapping(struct(values), "parameters") == values


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"a": math.nan}, "parameters.a"),
        ({"a": 1, "b": {"c": [0, {"d": math.inf}]}}, "parameters.b.c[1].d"),
        ({"a": [[-math.inf]]}, "parameters.a[0][0]"),
        ({"x" * 10_000: math.nan}, f"parameters.{'x' * MAX_PATH}"[:MAX_PATH]),
    ],
)
def test_what_json_does_not_have_is_refused_by_its_path(values: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        to_mapping(struct(values), "parameters")
    assert refusal.value.field == path


BAD = struct({"limit": math.nan})
NAME = {"tenant_id": "acme", "provider": "gcp", "domain": "cost", "template": "billing"}
START: dict[str, Any] = {**NAME, "pipeline_logging_id": "0" * 8 + "-0000-0000-0000-" + "0" * 12, "attempt": 1, "trigger_type": "scheduler"}
NONE: Any = SimpleNamespace(start_attempt=None, prepare=None)
"""Nothing of it is called: a request is read whole first."""
PIPELINES = PipelineServicer(preparer=NONE, starts=NONE, dry_runner=NONE, canceller=NONE, store=NONE)
RUNS = RunServicer(preparer=NONE, starter=NONE, states=NONE, tenants=NONE, reconciler=NONE)


@pytest.mark.parametrize(
    ("rpc", "request_"),
    [
        pytest.param(PIPELINES.RunPipeline, pipeline_service_pb2.RunPipelineRequest(parameters=BAD, **NAME), id="RunPipeline"),
        pytest.param(
            PIPELINES.ValidatePipeline, pipeline_service_pb2.ValidatePipelineRequest(parameters=BAD, **NAME), id="ValidatePipeline"
        ),
        pytest.param(RUNS.CheckPipeline, run_service_pb2.CheckPipelineRequest(parameters=BAD, **NAME), id="CheckPipeline"),
        pytest.param(RUNS.StartRun, run_service_pb2.StartRunRequest(parameters=BAD, **START), id="StartRun"),
    ],
)
async def test_every_rpc_that_takes_parameters_says_which(rpc: Any, request_: Any) -> None:
    set_caller(Caller(tenant_id="acme", user_id=None))
    with pytest.raises(InvalidArgument) as refusal:
        await rpc(request_, None)
    assert refusal.value.field == "parameters.limit"


async def test_credentials_too() -> None:
    set_caller(Caller(tenant_id="acme", user_id=None))
    request = credential_service_pb2.SetCredentialsRequest(tenant_id="acme", provider="GCP", credentials=BAD)
    with pytest.raises(InvalidArgument) as refusal:
        await CredentialServicer(NONE, NONE, None, NONE, NONE, NONE).SetCredentials(request, NONE)
    assert refusal.value.field == "credentials.limit"
