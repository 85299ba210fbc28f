"""The form for a template's parameters, and the body that it makes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from console.gateway.errors import GatewayError
from console.web.wording import words

TEXT_TYPES: Mapping[str, str] = {"email": "email", "integer": "number"}
HINTS: Mapping[str, str] = {"date": "YYYY-MM-DD, or yesterday", "month": "YYYY-MM"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One parameter."""

    name: str
    label: str
    input_type: str
    """As HTML has it; `select` for a choice."""
    choices: tuple[str, ...]
    value: str
    is_required: bool
    help: str


class BadValue(Exception):
    """A value that the form cannot send. The text names the field."""


def template_named(answer: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """One of the templates in ListTemplates's answer. Raises GatewayError if there is none of this name."""
    for one in answer["templates"]:
        if all(one[part] == names[part] for part in ("provider", "domain", "template")):
            return dict(one)
    raise GatewayError(status=HTTPStatus.NOT_FOUND, reason="TEMPLATE_NOT_FOUND", message="There is no such pipeline.")


def fields_of(template: Mapping[str, Any], given: Mapping[str, str], *, is_scheduled: bool = False) -> list[Field]:
    """The fields of a template as ListTemplates describes it, with what was given before. A schedule has defaults of its own."""
    return [_field(one, given.get(one["name"], ""), is_scheduled=is_scheduled) for one in template["parameters"]]


def body_of(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """The run's parameters. Fields that were left empty are left out, so that the template's defaults apply. Raises BadValue."""
    types = {one["name"]: one["type"] for one in template["parameters"]}
    return {name: _value(name, kind, given[name]) for name, kind in types.items() if given.get(name)}


def _field(parameter: Mapping[str, Any], value: str, *, is_scheduled: bool) -> Field:
    default = parameter.get("default")
    if is_scheduled and parameter.get("scheduled") is not None:
        default = parameter["scheduled"]
    choices = ("true", "false") if parameter["type"] == "boolean" else tuple(parameter["choices"])
    hint = HINTS.get(parameter["type"], "")
    usual = "" if default is None else f"Left empty: {_text(default)}."
    return Field(
        name=parameter["name"],
        label=words(parameter["name"]).capitalize(),
        input_type="select" if choices else TEXT_TYPES.get(parameter["type"], "text"),
        choices=choices,
        value=value,
        is_required=parameter["required"],
        help=" ".join(part for part in (parameter["description"], f"{hint}." if hint else "", usual) if part),
    )


def _value(name: str, kind: str, text: str) -> Any:
    match kind:
        case "integer":
            try:
                return int(text)
            except ValueError:
                raise BadValue(f"{name}: give a whole number.") from None
        case "boolean":
            return text == "true"
        case _:
            return text


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # Numbers come as the doubles of google.protobuf.Value.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
