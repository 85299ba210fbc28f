"""A run's body as a JSON Schema: it accepts the bodies that the call accepts, and no others."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from services.executor.metering.cap import RunCap
from services.executor.servicers.to_proto import to_template
from services.executor.templates.body_schema import body_schema
from services.executor.templates.catalog import Catalog
from services.executor.templates.name import PipelineName
from services.executor.templates.parameters import ParameterSpec, ParameterType
from services.executor.templates.template import Overlap, Template
from services.platform.errors import InvalidArgument
from tests.support.executor.tenant import BILLING

NOW = datetime(2099, 12, 31, 12, tzinfo=UTC)
"""No generated day or month lies after it."""
CHECKER = jsonschema.Draft202012Validator.FORMAT_CHECKER
DATE, MONTH, CHOICE = ParameterType.DATE, ParameterType.MONTH, ParameterType.CHOICE


def spec(name: str, kind: ParameterType, **fields: Any) -> ParameterSpec:
    return ParameterSpec(name=name, type=kind, description=f"About {name}.", **fields)


def template(*specs: ParameterSpec, provider: str = "gcp") -> Template:
    return Template(
        name=PipelineName(provider=provider, domain="cost", template="any"),
        description="",
        timeout_seconds=60,
        parameters=specs,
        most_days=100_000,
        overlap=Overlap.ALLOW,
        cap=RunCap(),
        steps=(),
    )


def is_accepted(one: Template, body: Mapping[str, object]) -> bool:
    """By the call."""
    try:
        values = one.values_of(body, now=NOW)
        one.period_of(values)
        one.check_days(body, values, now=NOW)
    except InvalidArgument:
        return False
    return True


def fits(one: Template, body: Mapping[str, object]) -> bool:
    """By the schema."""
    return jsonschema.Draft202012Validator(body_schema(one), format_checker=CHECKER).is_valid(body)


dates = st.sampled_from(
    ["2025-11-17", "2024-02-29", "2025-02-29", "2025-11-31", "1999-12-31", "2100-01-01", "today", "yesterday", "17.11.2025"]
)
months = st.sampled_from(["2025-11", "2025-13", "1999-12", "2100-01", "this_month", "last_month", "2025-11-17", "open"])
exports = st.sampled_from(["s3://my-bucket/billing/focus", "s3://bucket/a/../b", "account1/container-a/exports", "account1/container/.."])
tables = st.sampled_from(["ds.t", "my-project.ds.table-1", "google.com:my-project.ds.t", "t", "a.b.c.d", "dä.t", "my-project.d-s.t"])
emails = st.sampled_from(["a@example.com", "A.B+c@Mail.Example.Org", "a@b", "a@@example.com", "ä@example.com", "a" * 65 + "@example.com"])
numbers = st.sampled_from([0, 1, 5, 5.0, 5.5, 6, -1, 2**53, 2**53 + 2, -(2**53), True, False])
texts = st.sampled_from(
    ["", "x", "one", "two", "three", "two words", "a\tb", "a\u00a0b", "\u2028", "x" * 1024, "x" * 1025, "changed", "ü😀"]
)
values = st.one_of(dates, months, exports, tables, emails, numbers, texts, st.just(["x"]), st.just({"x": 1}))
USUAL: dict[ParameterType, st.SearchStrategy[Any]] = {
    DATE: dates,
    MONTH: months,
    ParameterType.EXPORT: exports,
    ParameterType.TABLE: tables,
    ParameterType.EMAIL: emails,
    ParameterType.INTEGER: numbers,
    ParameterType.BOOLEAN: st.booleans(),
}
OTHERS = [
    spec("when_", DATE, default="today"),
    spec("due", MONTH, required=True),
    spec("text", ParameterType.STRING, required=True),
    spec("colour", CHOICE, choices=("one", "two"), default="one"),
    spec("number", ParameterType.INTEGER),
    spec("some", ParameterType.INTEGER, range=(0, 5), required=True),
    spec("flag", ParameterType.BOOLEAN, default=False),
    spec("place", ParameterType.TABLE),
    spec("files", ParameterType.EXPORT, required=True),
    spec("to", ParameterType.EMAIL),
]


@st.composite
def periods(draw: st.DrawFn) -> list[ParameterSpec]:
    """Parameters that say which days or months a run covers, with any of their defaults."""

    def one(name: str, kind: ParameterType, default: str, **more: Any) -> ParameterSpec:
        usual: dict[str, Any] = draw(st.sampled_from([{}, {"default": default}, {"scheduled": default}, {"required": True}]))
        return spec(name, kind, **usual, **more)

    match draw(st.sampled_from(["none", "day", "range", "changed", "months"])):
        case "none":
            return []
        case "months":
            return [one("month", MONTH, "last_month"), one("months", CHOICE, "open", choices=("open",))]
        case days:
            found = [one("date", DATE, "yesterday")]
            if days != "day":
                found += [one("start_date", DATE, "yesterday"), one("end_date", DATE, "yesterday")]
            return found + ([one("days", CHOICE, "changed", choices=("changed",))] if days == "changed" else [])


@st.composite
def calls(draw: st.DrawFn) -> tuple[Template, dict[str, object]]:
    """A template and a body for it: mostly values of the right kind, some of another, sometimes an unknown key."""
    specs = [*draw(periods()), *draw(st.lists(st.sampled_from(OTHERS), unique_by=lambda one: one.name, max_size=3))]
    one = template(*specs, provider=draw(st.sampled_from(["gcp", "aws", "azure"])))
    body = dict[str, object]()
    for declared in specs:
        usual = st.sampled_from(declared.choices) if declared.choices else USUAL.get(declared.type, texts)
        match draw(st.integers(0, 9)):
            case 0:
                body[declared.name] = draw(values)
            case number if number < 6 or (declared.required and number < 9):
                body[declared.name] = draw(usual)
    if draw(st.integers(0, 19)) == 0:
        body["unknown"] = "x"
    first, last = body.get("start_date"), body.get("end_date")
    if isinstance(first, str) and isinstance(last, str) and "yesterday" not in (first, last):
        body["start_date"], body["end_date"] = sorted((first, last))
    elif first == "yesterday" and isinstance(last, str):
        body["end_date"] = "yesterday"
    return one, body


@given(calls())
def test_the_schema_and_the_call_accept_the_same_bodies(call: tuple[Template, dict[str, object]]) -> None:
    one, body = call
    jsonschema.Draft202012Validator.check_schema(body_schema(one))
    assert fits(one, body) == is_accepted(one, body)


@given(st.data())
def test_so_they_do_for_each_of_our_templates(catalog: Catalog, data: st.DataObject) -> None:
    one = data.draw(st.sampled_from([catalog.templates[name] for name in sorted(catalog.templates)]))
    names = [declared.name for declared in one.parameters]
    body = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                declared.name: st.sampled_from(declared.choices) if declared.choices else USUAL.get(declared.type, texts)
                for declared in one.parameters
                if declared.name not in {"start_date", "end_date"}
            },
        )
    )
    if "start_date" in names and data.draw(st.booleans()):
        body["start_date"], body["end_date"] = "2025-11-17", "2025-11-18"
    assert fits(one, body) == is_accepted(one, body)


@pytest.mark.parametrize(
    ("body", "is_right"),
    [
        ({"date": "yesterday"}, True),
        ({"start_date": "2025-11-01", "end_date": "2025-11-30", "accept_less": True}, True),
        ({"days": "changed", "history_days": 1100}, True),
        ({}, False),
        ({"date": "today"}, False),
        ({"date": "2025-11-17", "days": "changed"}, False),
        ({"date": "2025-11-17", "end_date": "2025-11-18"}, False),
        ({"days": "changed", "history_days": 1101}, False),
        ({"date": "2025-11-17", "export_table": "my-project.billing.export; DROP"}, False),
    ],
)
def test_days_are_given_in_one_of_the_ways_that_the_template_has(catalog: Catalog, body: dict[str, object], is_right: bool) -> None:
    assert fits(catalog.templates[BILLING], body) is is_right
    assert is_accepted(catalog.templates[BILLING], body) is is_right


def test_the_answer_holds_it_as_json(catalog: Catalog) -> None:
    one = catalog.templates[BILLING]
    schema = json_format.MessageToDict(to_template(one).body_schema)
    assert schema == body_schema(one)
    assert [form["title"] for form in schema["oneOf"]] == ["One day", "Each day of a range", "The days that have changed"]
    assert schema["properties"]["history_days"]["maximum"] == 1100
    assert all(property_["description"] for property_ in schema["properties"].values())


def test_a_call_without_days_takes_the_default_where_there_is_one() -> None:
    one = template(spec("date", DATE, default="yesterday"), spec("start_date", DATE), spec("end_date", DATE))
    assert body_schema(one)["oneOf"][-1]["title"] == "The default, date: yesterday"
    assert body_schema(one)["properties"]["date"]["default"] == "yesterday"
    assert fits(one, {})
