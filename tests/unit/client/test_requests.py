"""What a caller may pass, and what becomes of it."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from convergence.auth.v1 import api_key_service_pb2, tenant_service_pb2
from convergence.client import errors
from convergence.executor.v1 import all_runs_service_pb2, cost_service_pb2, pipeline_service_pb2
from convergence.rpc.requests import request_of
from convergence.scheduler.v1 import schedule_service_pb2
from google.protobuf import json_format

from services.platform.settings import REPOSITORY
from tools.client_code.surface import TEXTS, Surface


def test_none_leaves_a_field_out_and_a_zero_does_not() -> None:
    fields = {"tenant_id": "t", "company_name": "Acme", "daily_limit": 0, "monthly_limit": None}
    request = request_of(tenant_service_pb2.PutTenantRequest, fields, "")
    assert (request.HasField("daily_limit"), request.HasField("monthly_limit")) == (True, False)


def test_the_client_s_tenant_is_taken_where_a_call_names_none() -> None:
    assert request_of(pipeline_service_pb2.GetRunRequest, {"tenant_id": None}, "acme_corp").tenant_id == "acme_corp"
    assert request_of(pipeline_service_pb2.GetRunRequest, {"tenant_id": "other"}, "acme_corp").tenant_id == "other"
    with pytest.raises(errors.ConfigurationError, match="CONVERGENCE_TENANT_ID"):
        request_of(pipeline_service_pb2.GetRunRequest, {"tenant_id": None}, "")


def test_a_filter_by_tenant_is_not_filled_in() -> None:
    assert request_of(all_runs_service_pb2.ListAllRunsRequest, {"tenant_id": None}, "acme_corp").tenant_id == ""


def test_a_pipeline_is_one_name() -> None:
    run = request_of(pipeline_service_pb2.RunPipelineRequest, {"pipeline": "gcp/cost/billing"}, "")
    assert (run.provider, run.domain, run.template) == ("gcp", "cost", "billing")
    schedule = request_of(schedule_service_pb2.CreateScheduleRequest, {"pipeline": "aws/cost/cur"}, "")
    assert (schedule.provider, schedule.domain, schedule.pipeline_template) == ("aws", "cost", "cur")
    assert request_of(pipeline_service_pb2.ListRunsRequest, {"pipeline": "gcp-cost-billing"}, "").pipeline == "gcp-cost-billing"


@pytest.mark.parametrize("bad", ["billing", "gcp-cost-billing", "gcp/cost/", 7])
def test_another_form_of_a_pipeline_is_refused(bad: object) -> None:
    with pytest.raises(errors.BadField, match="provider/domain/template"):
        request_of(pipeline_service_pb2.RunPipelineRequest, {"pipeline": bad}, "")


def test_dates_are_dates() -> None:
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    fields = {"start_date": date(2026, 3, 1), "end_date": "2026-03-31", "changed_from": moment, "changed_before": date(2026, 4, 1)}
    changes = request_of(cost_service_pb2.ListCostChangesRequest, fields, "")
    assert (changes.start_date, changes.end_date) == ("2026-03-01", "2026-03-31")
    assert (changes.changed_from, changes.changed_before) == ("2026-03-01T12:00:00+00:00", "2026-04-01")
    month = request_of(cost_service_pb2.PutInvoiceAmountRequest, {"invoice_month": date(2026, 3, 1), "amount": Decimal("1E+3")}, "")
    assert (month.invoice_month, month.amount) == ("2026-03", "1000")
    key = request_of(api_key_service_pb2.CreateApiKeyRequest, {"expires_at": moment}, "")
    assert key.expires_at.ToDatetime(UTC) == moment


def test_parameters_are_a_plain_dict_with_dates_at_any_depth() -> None:
    given = {"start_date": date(2026, 3, 1), "list": [date(2026, 3, 2), {"deep": Decimal("1.5")}], "flag": True, "none": None}
    request = request_of(pipeline_service_pb2.RunPipelineRequest, {"parameters": given}, "")
    sent = {"start_date": "2026-03-01", "list": ["2026-03-02", {"deep": 1.5}], "flag": True, "none": None}
    assert json_format.MessageToDict(request.parameters) == sent
    empty = request_of(schedule_service_pb2.UpdateScheduleRequest, {"parameters": {}}, "")
    assert empty.HasField("parameters")


@pytest.mark.parametrize(
    ("kind", "fields", "hint"),
    [
        (cost_service_pb2.GetCostsRequest, {"group_by": "service"}, r"write \['service'\]"),
        (api_key_service_pb2.CreateApiKeyRequest, {"expires_at": datetime(2026, 1, 1)}, "timezone"),  # noqa: DTZ001 - what is refused
        (cost_service_pb2.ListCostChangesRequest, {"changed_from": datetime(2026, 1, 1)}, "timezone"),  # noqa: DTZ001 - the same
        (pipeline_service_pb2.RunPipelineRequest, {"parameters": "{}"}, "dict"),
        (pipeline_service_pb2.RunPipelineRequest, {"parameters": {"date": object()}}, "parameters"),
        (tenant_service_pb2.PutTenantRequest, {"daily_limit": "many"}, "daily_limit"),
        (tenant_service_pb2.PutTenantRequest, {"daily_limit": 2**40}, "daily_limit"),
        (tenant_service_pb2.PutTenantRequest, {"company_name": 7}, "text"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_the_name_of_its_field(kind: type, fields: dict[str, object], hint: str) -> None:
    with pytest.raises(errors.BadField, match=hint) as raised:
        request_of(kind, fields, "")
    assert raised.value.field_violations[0].field == next(iter(fields))


def test_each_text_that_is_a_date_takes_one() -> None:
    """By what the protos' comments say of the fields."""
    surface = Surface(REPOSITORY / "gen/descriptor.binpb", REPOSITORY / "client/methods.toml")
    arguments = [argument for resource in surface.resources() for rpc in resource.rpcs for argument in rpc.arguments]
    dated = {a.name for a in arguments if re.search(r"YYYY-MM|RFC 3339|T00:00:00Z|[Dd]ay, included|last one, included", a.about)}
    typed = {a.name for a in arguments if a.type in TEXTS and "date" in a.type}
    assert dated <= typed
    assert {a.type for a in arguments if a.name in dated} <= set(TEXTS)
