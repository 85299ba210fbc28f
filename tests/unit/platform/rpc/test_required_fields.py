"""All REQUIRED fields that are empty are named by one answer."""

import pytest
from convergence.scheduler.v1 import schedule_service_pb2
from google.protobuf import json_format

from services.platform.errors import InvalidArgument
from services.platform.rpc.validation import check_fields


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "provider: is required, and so are domain, pipeline_template, schedule_cron."),
        ({"provider": "gcp", "pipeline_template": "billing"}, "domain: is required, and so is schedule_cron."),
        ({"provider": "gcp", "domain": "cost", "pipeline_template": "billing"}, "schedule_cron: is required."),
    ],
)
def test_the_first_is_the_field_of_the_error_and_the_others_are_named(given: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_fields(
            json_format.ParseDict({"tenant_id": "acme", **given}, schedule_service_pb2.CreateScheduleRequest()), reserved=frozenset()
        )
    assert refused.value.message == said
    assert refused.value.field == said.partition(":")[0]
