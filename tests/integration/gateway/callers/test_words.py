"""What callers read about a request that the transcoder cannot read: in plain words, with the field that is wrong."""

import pytest

from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.test_refusals import refusal
from tests.integration.gateway.upstream import Upstream

TENANT = "/api/v1/tenants/acme"
NO_JSON = "The body is no JSON that can be read. "
SEND = ' Send an object in UTF-8, as {"name": "value"}.'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"company_name": ', f"{NO_JSON}Unexpected end of string. Expected a value.{SEND}"),
        ('{"company_name" "Acme"}', f'{NO_JSON}Expected : between key:value pair. Near: {{"company_name" "Acme"}}.{SEND}'),
        ('{"quote\\"\n', f"{NO_JSON}Closing quote expected in string.{SEND}"),
        ('{"company_name": tru}', f"{NO_JSON}Unexpected token. Near: tru}}.{SEND}"),
        (b'{"company_name": "\xff\xfe"}', f"{NO_JSON}Encountered non UTF-8 code points.{SEND}"),
        ("[1]", 'The body must be a JSON object, as {"name": "value"}.'),
        ('{"company_name": [1]}', "There is a list, [...], where this call takes one value or an object."),
        ('{"tenant_id": "other"}', 'The binding value "acme" of the field tenant_id is conflicting with the value "other" in the body.'),
    ],
)
async def test_a_body_that_is_no_such_message_is_400_and_says_why(gateway: Gateway, auth: Upstream, body: str | bytes, said: str) -> None:
    assert refusal(answer := await gateway.call("PUT", TENANT, data=body)) == (400, 3, "REQUEST_MALFORMED", said)
    assert answer.headers["content-length"] == str(len(answer.content))
    assert auth.seen == []


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ('{"daily_limit": "many"}', "daily_limit", '"many" is not a whole number from -2147483648 to 2147483647.'),
        ('{"daily_limit": "a\\"b"}', "daily_limit", '"a"b" is not a whole number from -2147483648 to 2147483647.'),
        ('{"daily_limit": 1.5}', "daily_limit", "1.5 is not a whole number from -2147483648 to 2147483647."),
        ('{"daily_limit": 3000000000}', "daily_limit", "3000000000 is not a whole number from -2147483648 to 2147483647."),
        ('{"daily_limit": true}', "daily_limit", "true is not a whole number from -2147483648 to 2147483647."),
        ('{"monthly_cost_limit_usd": "x"}', "monthly_cost_limit_usd", '"x" is not a number.'),
        ('{"company_name": {"a": 1}}', "company_name", "takes one value, not an object."),
    ],
)
async def test_a_field_of_the_wrong_kind_is_named_as_the_services_do(
    gateway: Gateway, auth: Upstream, body: str, field: str, said: str
) -> None:
    """As a violation of that field, so that a form can show it there."""
    answer = await gateway.call("PUT", TENANT, data=body)
    assert refusal(answer) == (400, 3, "BAD_FIELD", f"{field}: {said}")
    info, bad_request, _ = answer.json()["details"]
    assert info["metadata"] == {"field": field}
    assert bad_request["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert bad_request["field_violations"] == [{"field": field, "description": said}]
    assert auth.seen == []


@pytest.mark.parametrize(("query", "field"), [("page_size=many", "page_size"), ("page_size=1&page_size=x", "page_size")])
async def test_so_is_a_query_parameter(gateway: Gateway, upstreams: dict[str, Upstream], query: str, field: str) -> None:
    answer = await gateway.call("GET", f"/api/v1/pipelines/runs/acme?{query}")
    status, code, reason, message = refusal(answer)
    assert (status, code, reason, message.partition(":")[0]) == (400, 3, "BAD_FIELD", field)
