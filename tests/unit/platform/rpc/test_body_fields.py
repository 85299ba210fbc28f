"""Every public RPC takes its own fields from a REST body and refuses any other by name."""

from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor

from services.platform.errors import InvalidArgument
from services.platform.rpc.body_fields import HEADER, body_fields, check_body_fields, only_known_body_fields
from services.platform.rpc.calls import Call, Rpc
from tests.unit.platform.access.test_rules import METHODS, is_public

PUBLIC = {method.name: method for method in METHODS if is_public(method)}
STRUCTS = ("RunPipeline", "ValidatePipeline")
FLAT = [method for name, method in PUBLIC.items() if name not in STRUCTS]


async def answer(method: MethodDescriptor, **metadata: str) -> str:
    async def answered(call: Call) -> str:
        return "an answer"

    context: Any = None
    call = Call(request=message_factory.GetMessageClass(method.input_type)(), context=context, metadata=metadata)
    found: str = await only_known_body_fields(Rpc(path=method.full_name, method=method), answered)(call)
    return found


async def refusal(method: MethodDescriptor, header: str) -> InvalidArgument | None:
    try:
        await answer(method, **{HEADER: header})
    except InvalidArgument as error:
        return error
    return None


def test_the_walk_finds_what_is_public() -> None:
    assert len(FLAT) >= 20


@pytest.mark.parametrize("method", PUBLIC.values(), ids=PUBLIC)
def test_the_outermost_names_are_all_there_are(method: MethodDescriptor) -> None:
    """Else a name inside could be misspelt, or another binding could take other names, and the step would have to look there too."""
    assert not method.GetOptions().Extensions[annotations_pb2.http].additional_bindings
    messages = {field.message_type.full_name for field in body_fields(method) or () if field.message_type}
    assert messages <= {"google.protobuf.Struct", "google.protobuf.Timestamp"}


@pytest.mark.parametrize("name", STRUCTS)
async def test_a_struct_may_hold_any_name(name: str) -> None:
    """All of them reach the servicer, which checks them itself."""
    assert body_fields(PUBLIC[name]) is None
    assert await refusal(PUBLIC[name], "surprise,tenant_id") is None


@pytest.mark.parametrize("method", FLAT, ids=lambda method: method.name)
async def test_every_field_is_taken_in_both_spellings_and_nothing_else(method: MethodDescriptor) -> None:
    fields = body_fields(method) or ()
    for field in fields:
        assert await refusal(method, field.name) is None
        assert await refusal(method, field.json_name) is None
        for misspelt in (field.name.upper(), field.name[:-1], f"{field.name}s", f"{field.name}%20", f"%00{field.name}", f"x.{field.name}"):
            error = await refusal(method, f"{field.name},{misspelt},nope")
            assert error is not None
            assert error.field not in {field.name, "nope"}

    error = await refusal(method, "nope")
    assert error is not None
    assert (error.reason, error.field) == ("BAD_FIELD", "nope")
    takes = f"It takes {', '.join(field.name for field in fields)}." if fields else "which takes none."
    assert error.message.endswith(takes)


@pytest.mark.parametrize("method", FLAT, ids=lambda method: method.name)
def test_what_stands_in_the_path_is_not_said_again(method: MethodDescriptor) -> None:
    """The transcoder refuses another value for `tenant_id`, but drops one for `tenantId`."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    path = getattr(rule, rule.WhichOneof("pattern"))
    in_path = [field for field in method.input_type.fields if f"{{{field.name}}}" in path]
    assert len(in_path) == path.count("{")
    for field in in_path:
        for name in (field.name, field.json_name):
            with pytest.raises(InvalidArgument, match="is no field of this request's body"):
                check_body_fields(method, [name])


async def test_names_are_decoded_before_they_are_compared() -> None:
    error = await refusal(PUBLIC["CreateApiKey"], "scopes,gr%C3%B6%C3%9Fe%2C%FF")
    assert error is not None
    assert error.field == "größe,�"
    assert await refusal(PUBLIC["CreateApiKey"], "scope%73") is None


async def test_a_native_call_has_nothing_to_check() -> None:
    assert await answer(PUBLIC["CreateApiKey"]) == "an answer"
