"""Walks every RPC of every proto: what changes something is recorded, without being listed anywhere."""

import grpc
import pytest
from convergence.access.v1 import access_pb2
from convergence.auth.v1 import api_key_service_pb2, session_token_service_pb2
from convergence.credentials.v1 import credential_service_pb2
from convergence.executor.v1 import pipeline_service_pb2
from convergence.scheduler.v1 import offboarding_service_pb2
from google.api import annotations_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from services.platform.audit.rules import Recording, changes_something, path_fields, recording, resource_of
from services.platform.rpc.rules import find_method
from tests.unit.platform.access.test_rules import METHODS, is_public

Code = grpc.StatusCode
NOT_RECORDED = {
    "convergence.auth.v1.QuotaService.ResetDailyQuotas",
    "convergence.executor.v1.AccessService.CheckStoredCredentials",
    "convergence.executor.v1.PipelineService.ValidatePipeline",
    "convergence.scheduler.v1.SchedulerService.ProcessQueue",
    "convergence.scheduler.v1.SchedulerService.TriggerDuePipelines",
}
"""Each is a decision: its proto says why."""


def option(method: MethodDescriptor) -> access_pb2.Audit:
    found: access_pb2.Audit = method.GetOptions().Extensions[access_pb2.audit]
    return found


def verb(method: MethodDescriptor) -> str | None:
    found: str | None = method.GetOptions().Extensions[annotations_pb2.http].WhichOneof("pattern")
    return found


def method(path: str) -> MethodDescriptor:
    found = find_method(f"/convergence.{path}")
    assert found is not None
    return found


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_whatever_is_not_a_get_is_recorded_unless_its_proto_says_why(method: MethodDescriptor) -> None:
    is_mutating = is_public(method) and verb(method) != "get"
    assert changes_something(method) == (is_mutating and method.full_name not in NOT_RECORDED)
    assert bool(option(method).not_recorded_because) == (method.full_name in NOT_RECORDED)
    for code, how in ((Code.OK, Recording.EACH), (Code.INTERNAL, Recording.EACH), (Code.PERMISSION_DENIED, Recording.COUNTED)):
        assert not changes_something(method) or recording(method, code, "", is_served=True) is how


@pytest.mark.parametrize("method", [method for method in METHODS if is_public(method)], ids=lambda method: method.full_name)
def test_every_refused_call_is_counted(method: MethodDescriptor) -> None:
    for code in (Code.UNAUTHENTICATED, Code.PERMISSION_DENIED, Code.RESOURCE_EXHAUSTED):
        assert recording(method, code, "", is_served=False) is Recording.COUNTED


def test_the_names_of_actions_are_clear() -> None:
    names = [method.name for method in METHODS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("method", [method for method in METHODS if is_public(method)], ids=lambda method: method.full_name)
def test_what_names_a_resource_is_text_of_the_request(method: MethodDescriptor) -> None:
    named = [*path_fields(method), *option(method).resource_fields]
    kinds = {field.name: field.type for field in method.input_type.fields}
    assert all(kinds[name] == FieldDescriptor.TYPE_STRING for name in named)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_what_is_recorded_of_an_answer_is_text_or_a_number(method: MethodDescriptor) -> None:
    kinds = {field.name: field.type for field in method.output_type.fields}
    assert all(kinds[name] in {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_INT32} for name in option(method).answer_fields)


def test_the_proof_of_an_offboarding_is_in_its_entry() -> None:
    offboard, request = (
        method("scheduler.v1.OffboardingService/OffboardTenant"),
        offboarding_service_pb2.OffboardTenantRequest(tenant_id="a"),
    )
    proof = offboarding_service_pb2.OffboardTenantResponse(
        tenant_id="a", keys_revoked=2, runs_dropped=1, credentials_destroyed=["AWS", "GCP"], dataset="KEPT"
    )
    assert resource_of(offboard, request, proof) == (
        "keys_revoked=2/schedules_stopped=0/runs_dropped=1/runs_cancelled=0/credentials_destroyed=AWS/credentials_destroyed=GCP/dataset=KEPT"
    )
    assert resource_of(offboard, request, None) == ""


def test_a_call_that_was_never_served_is_no_entry_however_it_ended() -> None:
    """While auth does not answer, callers that are not known are answered UNAVAILABLE, as often as they ask."""
    for code in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.CANCELLED, Code.INVALID_ARGUMENT):
        assert recording(method("auth.v1.TenantService/PutTenant"), code, "", is_served=False) is Recording.COUNTED


def test_reads_and_peers_calls_are_not_recorded_unless_they_are_refused() -> None:
    read, peers = method("auth.v1.QuotaService/GetQuota"), method("auth.v1.LedgerService/Reserve")
    assert recording(read, Code.OK, "OK", is_served=True) is Recording.NOT
    assert recording(read, Code.INVALID_ARGUMENT, "BAD_FIELD", is_served=True) is Recording.NOT
    assert recording(peers, Code.RESOURCE_EXHAUSTED, "DAILY_LIMIT_REACHED", is_served=True) is Recording.NOT
    assert recording(peers, Code.PERMISSION_DENIED, "CALLER_DENIED", is_served=False) is Recording.COUNTED


def test_a_resource_is_named_by_the_path_the_proto_and_what_was_made() -> None:
    run = pipeline_service_pb2.RunPipelineRequest(tenant_id="acme_corp", provider="gcp", domain="cost", template="billing")
    started = pipeline_service_pb2.RunPipelineResponse(pipeline_logging_id="7d0e8c1a-0000-5000-8000-000000000000")
    of_a_run = resource_of(method("executor.v1.PipelineService/RunPipeline"), run, started)
    assert of_a_run == "provider=gcp/domain=cost/template=billing/pipeline_logging_id=7d0e8c1a-0000-5000-8000-000000000000"
    stored = credential_service_pb2.SetCredentialsRequest(tenant_id="acme_corp", provider="GCP")
    stored.credentials.update({"service_account_json": "a secret"})
    assert resource_of(method("credentials.v1.CredentialService/SetCredentials"), stored, None) == "provider=GCP"
    opened = session_token_service_pb2.CreateSessionTokenResponse(session_token="a secret", session_token_id="token-1", user_id="alice")
    create = session_token_service_pb2.CreateSessionTokenRequest(tenant_id="acme_corp", user_id="alice")
    assert resource_of(method("auth.v1.SessionTokenService/CreateSessionToken"), create, opened) == "session_token_id=token-1"
    rotated = api_key_service_pb2.RotateApiKeyResponse(api_key_id="new", api_key="a secret")
    rotate = api_key_service_pb2.RotateApiKeyRequest(tenant_id="acme_corp", api_key_id="old")
    assert resource_of(method("auth.v1.ApiKeyService/RotateApiKey"), rotate, rotated) == "api_key_id=old/api_key_id=new"


@pytest.mark.parametrize("wrong", ["acme_corp_api_v1_" + "x" * 38, "a b", "x\n", "é", "", "a" * 41])
def test_what_cannot_be_an_id_is_not_recorded(wrong: str) -> None:
    revoke = api_key_service_pb2.RevokeApiKeyRequest(tenant_id="acme_corp", api_key_id=wrong)
    assert resource_of(method("auth.v1.ApiKeyService/RevokeApiKey"), revoke, None) == "api_key_id=?"
