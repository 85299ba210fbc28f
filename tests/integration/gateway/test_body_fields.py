"""The field names of a REST body that services get: every name that the transcoder reads, in any notation."""

import json
from typing import Any
from urllib.parse import unquote

import grpc
import pytest
from convergence.auth.v1 import tenant_service_pb2, tenant_service_pb2_grpc
from google.api import annotations_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from gateway.public_rpcs import public_services
from gateway.settings import GatewaySettings
from services.platform.rpc.body_fields import HEADER, body_fields, check_body_fields
from tests.integration.gateway.conftest import METADATA, Gateway
from tests.integration.gateway.upstream import Seen, Upstream

# One Envoy for all of these.
TENANT = "/api/v1/tenants/acme"
LARGEST = 64 * 1024
SERVICES = map(descriptor_pool.Default().FindServiceByName, public_services(GatewaySettings().descriptor))
PUBLIC: list[MethodDescriptor] = [method for service in SERVICES for method in service.methods]


def reported_fields(seen: Seen) -> list[str] | None:
    """The names, as the service reads them; None without the header."""
    header = seen.metadata.get(HEADER)
    return None if header is None else [unquote(name) for name in header.split(",")]


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ('{"company_name": "x", "nope": 1}', ["company_name", "nope"]),
        ('{"company_name": "}, {\\"nope\\": 1", "daily_limit": 1}', ["company_name", "daily_limit"]),
        ('{"company_name": "\\\\", "nope": "\\\\\\""}', ["company_name", "nope"]),
        ('{"nope": {"inner": [{"deep": ","}, "a"], "more": {}}, "other": [[], {}, "b", "c"]}', ["nope", "other"]),
        ('{"status": "A", "nope": 1, "status": "B"}', ["status", "nope", "status"]),
        # An escape is what it stands for, in a name that is known as in one that is not.
        ('{"\\u0063ompany_name": "x", "n\\u006Fpe": 1}', ["company_name", "nope"]),
        ('{"compan\\y_name": "x", "\\\\u0063ompany_name": 1, "\\name": 1}', ["company_name", "\\u0063ompany_name", "\\name"]),
        ('{"größe": 1, "gr\\u00f6\\u00dfe": 2, "\\ud83d\\ude00": 3}', ["größe", "gr\\u00f6\\u00dfe", "\\ud83d\\ude00"]),
        ('{"a,b%2C": 1, "\\u002c": 2}', ["a,b%2C", ","]),
        ('{"company_name\\u0000": 1, " company_name": 2, "a\\"b": 3}', ["company_name\0", " company_name", 'a"b']),
        # What the transcoder takes though it is no JSON.
        ("{'company_name': 'it\\'s \"x\"', daily_limit: 1, $nope\n: {a: 'b,c'},}", ["company_name", "daily_limit", "$nope"]),
        (' \n\t\v\f\r{ "nope" : 1 }\n', ["nope"]),
        ('{"' + "n" * 100 + '": 1, "' + "\\u006e" * 100 + '": 2}', ["n" * 64, "n" * 64]),
        ("{}", None),
        (" { } ", None),
        ("", None),
    ],
)
async def test_all_names_of_a_body_arrive(gateway: Gateway, auth: Upstream, body: str, names: list[str] | None) -> None:
    assert (await gateway.call("PUT", TENANT, data=body.encode())).status_code == 200
    assert reported_fields(auth.seen[0]) == names


@pytest.mark.parametrize(
    "body", ["null", "[]", '[{"nope": 1}]', '"nope"', " ", '{"nope"', '{"nope": "', '{"nope": 1}}', '{} {"nope": 1}', '{"nope\\', "{,}"]
)
async def test_what_is_no_object_is_still_refused_by_the_transcoder(gateway: Gateway, auth: Upstream, body: str) -> None:
    assert (await gateway.call("PUT", TENANT, data=body)).status_code == 400
    assert auth.seen == []


async def test_no_outside_caller_can_say_what_a_body_holds(gateway: Gateway, auth: Upstream) -> None:
    forged = {HEADER: "company_name", HEADER.upper(): "status"}
    await gateway.call("PUT", TENANT, data='{"nope": 1}', headers=forged)
    await gateway.call("PUT", TENANT, headers=forged)
    assert [reported_fields(seen) for seen in auth.seen] == [["nope"], None]


@pytest.mark.parametrize("content_type", ["", "application/x-www-form-urlencoded", "application/grpc-web", "Application/GRPC"])
async def test_it_does_not_matter_what_the_body_says_it_is(gateway: Gateway, auth: Upstream, content_type: str) -> None:
    """The transcoder does not look either."""
    assert (await gateway.call("PUT", TENANT, data='{"nope": 1}', headers={"content-type": content_type})).status_code == 200
    assert reported_fields(auth.seen[0]) == ["nope"]


async def test_a_native_call_is_left_alone(gateway: Gateway, auth: Upstream) -> None:
    async with grpc.aio.insecure_channel(gateway.target) as channel:
        request = tenant_service_pb2.PutTenantRequest(tenant_id="acme", company_name='{"nope": 1}')
        await tenant_service_pb2_grpc.TenantServiceStub(channel).PutTenant(request, metadata=[*METADATA, (HEADER, "nope")])
    assert reported_fields(auth.seen[0]) is None


@pytest.mark.parametrize(
    ("start", "filling", "end"),
    [
        ('{"company_name": "', "x", '", "nope": 1}'),
        ('{"company_name": "', "\\n", '", "nope": 1}'),
        ('{"company_name": "x",', " ", '"nope": 1}'),
    ],
)
async def test_the_largest_body_is_read_to_its_end(gateway: Gateway, auth: Upstream, start: str, filling: str, end: str) -> None:
    body = start + filling * ((LARGEST - len(start + end)) // len(filling)) + end
    assert (await gateway.call("PUT", TENANT, data=body)).status_code == 200
    assert reported_fields(auth.seen[0]) == ["company_name", "nope"]


@pytest.mark.parametrize(
    "body",
    [
        "{" + ",".join(f'"{number:06}": 1' for number in range(5_000)) + "}",
        "{" + ",".join(['"status": "x"'] * 4_000) + ', "nope": 1}',
        "{" + ",".join(f'"{chr(0xE000 + number)}{"€" * 200}": 1' for number in range(100)) + "}",
    ],
)
async def test_however_many_names_there_are_the_header_is_small_and_says_so(gateway: Gateway, auth: Upstream, body: str) -> None:
    assert (await gateway.call("PUT", TENANT, data=body.encode())).status_code == 200
    assert len(auth.seen[0].metadata[HEADER]) < 1300
    names = reported_fields(auth.seen[0])
    assert names is not None
    assert names[-1] == "..."


async def test_it_fits_beside_all_headers_that_the_gateway_lets_in(gateway: Gateway, auth: Upstream) -> None:
    body = json.dumps({"€" * 20 + str(number): 1 for number in range(100)})
    headers = {f"x-header-{number:02}": "v" * 70 for number in range(80)}
    assert {(await gateway.call("PUT", TENANT, data=body, headers=headers)).status_code for _ in range(20)} == {200}


def value(field: FieldDescriptor) -> Any:
    """Something other than the field's default, as JSON."""
    kinds: dict[Any, Any] = {
        FieldDescriptor.CPPTYPE_STRING: "x",
        FieldDescriptor.CPPTYPE_INT32: 1,
        FieldDescriptor.CPPTYPE_INT64: "1",
        FieldDescriptor.CPPTYPE_DOUBLE: 0.5,
        FieldDescriptor.CPPTYPE_BOOL: True,
    }
    messages = {"google.protobuf.Struct": {"a": 1}, "google.protobuf.Timestamp": "2030-01-01T00:00:00Z"}
    single = messages[field.message_type.full_name] if field.message_type else kinds[field.cpp_type]
    return [single] if field.is_repeated else single


@pytest.mark.parametrize("method", PUBLIC, ids=lambda method: method.name)
async def test_what_the_service_takes_is_what_the_transcoder_knows(
    gateway: Gateway, upstreams: dict[str, Upstream], method: MethodDescriptor
) -> None:
    """Each field of each request in both of its spellings, whatever the verb; all together fit into the header."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    fields = body_fields(method) or ()
    for spelling in ("name", "json_name"):
        upstream = upstreams[method.full_name.split(".")[1]]
        upstream.seen.clear()
        body = {getattr(field, spelling): value(field) for field in fields}
        answer = await gateway.call(verb.upper(), getattr(rule, verb).replace("{", "").replace("}", ""), json=body)

        assert answer.status_code == 200, answer.text
        assert reported_fields(upstream.seen[0]) == (list(body) or None)
        assert {field.name for field in fields} <= {field.name for field, _ in upstream.seen[0].request.ListFields()}
        check_body_fields(method, body)
