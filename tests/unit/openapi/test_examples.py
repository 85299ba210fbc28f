"""Every call has an example, which is as the document says."""

from tests.support.api.conformance import faults, operation, rpcs, validator
from tools.openapi.examples import Examples
from tools.openapi.protos import Protos, read_descriptors
from tools.openapi.refusals import statuses


def test_every_public_call_has_an_example() -> None:
    assert set(rpcs()) - set(Examples.read().calls) == set()


def test_each_status_has_a_real_example_of_an_error() -> None:
    """But for those that take a template of one's own (409) or a service that hangs (504); they are made of the reason's comment."""
    found = statuses(Protos.of(read_descriptors()))
    real = {status for reason in Examples.read().errors for status in found[reason]}
    assert {status for codes in found.values() for status in codes} - real == {409, 504}


def test_examples_are_as_the_document_says() -> None:
    for name, example in Examples.read().calls.items():
        assert faults(name, 200, example.answer, "") == [], name
        described = operation(name)
        assert ("requestBody" in described) == (example.body is not None), name
        if example.body is not None:
            schema = described["requestBody"]["content"]["application/json"]["schema"]
            assert [error.message for error in validator(schema).iter_errors(example.body)] == [], name
        known = {one["name"]: one["schema"] for one in described["parameters"] if "name" in one}
        for field, value in {**example.path, **example.query}.items():
            if known[field].get("type") not in {"array", "boolean"}:
                read = int(value) if known[field].get("type") == "integer" else value
                assert list(validator(known[field]).iter_errors(read)) == [], (name, field)
