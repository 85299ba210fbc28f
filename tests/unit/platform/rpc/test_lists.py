"""Walks the answers of every public RPC: what can grow without end comes in pages."""

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from tests.unit.platform.access.test_rules import METHODS, is_public

PUBLIC = [method for method in METHODS if is_public(method)]
PAGED = [method for method in PUBLIC if "next_page_token" in method.output_type.fields_by_name]

NOT_PAGED = {
    "convergence.credentials.v1.CredentialService.ListCredentials": "one for each provider",
    "convergence.executor.v1.CostService.ListCostDays": "400 days at most, for each source",
    "convergence.executor.v1.PipelineService.ListTemplates": "the operator's files",
}
"""List RPCs whose answer cannot grow beyond what is said here."""

BOUNDED = {
    "convergence.auth.v1.ApiKey.scopes": "of a fixed list",
    "convergence.auth.v1.CreateApiKeyResponse.scopes": "as requested",
    "convergence.auth.v1.CreateSessionTokenResponse.scopes": "of a fixed list",
    "convergence.auth.v1.GetUsageResponse.days": "92 days at most",
    "convergence.auth.v1.RotateApiKeyResponse.scopes": "of a fixed list",
    "convergence.credentials.v1.GetJsonWebKeySetResponse.keys": "versions of one key, of which old ones are no longer published",
    "convergence.credentials.v1.GetOpenIdConfigurationResponse.claims_supported": "fixed",
    "convergence.credentials.v1.GetOpenIdConfigurationResponse.id_token_signing_alg_values_supported": "fixed",
    "convergence.credentials.v1.GetOpenIdConfigurationResponse.response_types_supported": "fixed",
    "convergence.credentials.v1.GetOpenIdConfigurationResponse.scopes_supported": "fixed",
    "convergence.credentials.v1.GetOpenIdConfigurationResponse.subject_types_supported": "fixed",
    "convergence.credentials.v1.GetTrustResponse.commands": "fixed",
    "convergence.credentials.v1.GetTrustResponse.files": "fixed",
    "convergence.credentials.v1.GetTrustResponse.placeholders": "fixed",
    "convergence.credentials.v1.ListCredentialsResponse.credentials": "one for each provider",
    "convergence.credentials.v1.SetCredentialsResponse.tables_created": "our tables",
    "convergence.executor.v1.CheckCredentialsResponse.findings": "one for each thing that a run needs",
    "convergence.executor.v1.Cost.group": "at most four dimensions are asked for",
    "convergence.executor.v1.CostDay.sums": "one for each currency of a day",
    "convergence.executor.v1.CostDaysSummary.holes": "a summary of at most the days that are asked for",
    "convergence.executor.v1.CostSource.holes": "at most the days that are asked for",
    "convergence.executor.v1.DqResult.sample_rows": "a sample",
    "convergence.executor.v1.GetCostsResponse.totals": "one for each currency",
    "convergence.executor.v1.ListCostDaysResponse.days": "at most the days that are asked for, for each source",
    "convergence.executor.v1.ListCostDaysResponse.sources": "one for each source",
    "convergence.executor.v1.ListInvoicesResponse.unmatched": "amounts that the tenant entered for at most the months that are asked for",
    "convergence.executor.v1.ListTemplatesResponse.templates": "the operator's files",
    "convergence.executor.v1.Run.days_not_over": "at most the days of one run",
    "convergence.executor.v1.Run.dq_results": "one for each check of a template",
    "convergence.executor.v1.Run.steps": "one for each attempt of a template's steps",
    "convergence.executor.v1.Template.parameters": "the operator's file",
    "convergence.executor.v1.Template.steps": "the operator's file",
    "convergence.executor.v1.TemplateParameter.choices": "the operator's file",
    "convergence.executor.v1.TemplateStep.needs": "the operator's file",
    "convergence.executor.v1.ValidatePipelineResponse.days_not_over": "at most the days of one run",
    "convergence.executor.v1.ValidatePipelineResponse.problems": "one for each parameter or step",
    "convergence.executor.v1.ValidatePipelineResponse.steps": "the operator's file",
    "convergence.scheduler.v1.GetFleetResponse.budgets": "one for each control table",
    "convergence.scheduler.v1.GetFleetResponse.jobs": "the four jobs",
    "convergence.scheduler.v1.LeftOut.schedules": "a sample",
    "convergence.scheduler.v1.OffboardTenantResponse.credentials_destroyed": "one for each provider",
    "convergence.scheduler.v1.OffboardTenantResponse.exported": "one for each table of a tenant's dataset",
    "convergence.scheduler.v1.ProcessQueueResponse.runs": "at most `max_runs`",
    "convergence.scheduler.v1.Schedule.next_fire_times": "the next five",
}
"""Repeated fields of answers, beside the entries of pages, and why they cannot grow without end."""


def repeated(message: Descriptor, inside: tuple[str, ...] = ()) -> Iterator[FieldDescriptor]:
    for field in message.fields:
        if field.is_repeated:
            yield field
        inner = field.message_type
        if inner is not None and inner.full_name not in inside and not inner.full_name.startswith("google."):
            yield from repeated(inner, (*inside, inner.full_name))


def entries(method: MethodDescriptor) -> str:
    """The field with the entries of a page: the first one that is repeated."""
    return next(field.full_name for field in method.output_type.fields if field.is_repeated)


@pytest.mark.parametrize("method", PUBLIC, ids=lambda method: method.full_name)
def test_a_list_comes_in_pages(method: MethodDescriptor) -> None:
    asks = {"page_size", "page_token"} & set(method.input_type.fields_by_name)
    if method.name.startswith("List") and method.full_name not in NOT_PAGED:
        assert method in PAGED
    assert asks == ({"page_size", "page_token"} if method in PAGED else set())


def test_all_else_that_is_repeated_is_bounded_for_a_reason() -> None:
    found = {field.full_name for method in PUBLIC for field in repeated(method.output_type)}
    assert found - {entries(method) for method in PAGED} == set(BOUNDED)


def test_a_reason_is_given_only_where_one_is_needed() -> None:
    assert set(NOT_PAGED) <= {method.full_name for method in PUBLIC if method not in PAGED}
