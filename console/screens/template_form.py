"""The form for a template's parameters, and the body that it makes. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from console.gateway.errors import GatewayError
from console.web.wording import words

type Schema = Mapping[str, Any]
TEXT_TYPES: Mapping[str, str] = {"email": "email", "integer": "number"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One parameter."""

    name: str
    label: str
    input_type: str
    """As HTML has it; `select` for a choice."""
    choices: tuple[str, ...]
    suggestions: tuple[str, ...]
    """Words that are taken beside other values, such as `yesterday`."""
    value: str
    is_required: bool
    minimum: int | None
    maximum: int | None
    help: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One of the ways to say what is loaded, of which a run takes one."""

    title: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateForm:
    """All of a template's parameters, each once."""

    ways: tuple[Way, ...]
    needed: tuple[Field, ...]
    others: tuple[Field, ...]


class BadValue(Exception):
    """A value that the form cannot send. The text names the field."""


def template_named(answer: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """One of the templates in ListTemplates's answer. Raises GatewayError if there is none of this name."""
    for one in answer["templates"]:
        if all(one[part] == names[part] for part in ("provider", "domain", "template")):
            return dict(one)
    raise GatewayError(status=HTTPStatus.NOT_FOUND, reason="TEMPLATE_NOT_FOUND", message="There is no such pipeline.")


def form_of(template: Mapping[str, Any], given: Mapping[str, str], *, is_scheduled: bool = False) -> TemplateForm:
    """The form, with what was given before. Its order is that of the parameters, its groups are those of `body_schema` (JSON Schema): each
    of `oneOf` is a way, with what it requires. A schedule has defaults of its own.
    """
    schema = template.get("body_schema") or {}
    properties, required = schema.get("properties", {}), set(schema.get("required", ()))
    fields = {
        one["name"]: _field(one, properties.get(one["name"], {}), given.get(one["name"], ""), is_scheduled=is_scheduled)
        for one in template["parameters"]
    }
    ways = _ways(schema.get("oneOf", ()), fields)
    rest = [one for one in fields.values() if not any(one in way.fields for way in ways)]
    return TemplateForm(
        ways=ways,
        needed=tuple(one for one in rest if one.is_required or one.name in required),
        others=tuple(one for one in rest if not (one.is_required or one.name in required)),
    )


def body_of(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """The run's parameters. Fields that were left empty are left out, so that the template's defaults apply. Raises BadValue."""
    types = {one["name"]: one["type"] for one in template["parameters"]}
    return {name: _value(name, kind, given[name]) for name, kind in types.items() if given.get(name)}


def _ways(alternatives: Sequence[Schema], fields: Mapping[str, Field]) -> tuple[Way, ...]:
    used = set[str]()
    ways = []
    for one in alternatives:
        names = [name for name in fields if name in one.get("required", ()) and name not in used]
        used.update(names)
        if names:
            ways.append(Way(title=one.get("title", ""), fields=tuple(fields[name] for name in names)))
    return tuple(ways)


def _field(parameter: Mapping[str, Any], schema: Schema, value: str, *, is_scheduled: bool) -> Field:
    default = parameter.get("default")
    if is_scheduled and parameter.get("scheduled") is not None:
        default = parameter["scheduled"]
    choices = ("true", "false") if parameter["type"] == "boolean" else tuple(parameter["choices"])
    usual = "" if default is None else f"Left empty: {_text(default)}."
    return Field(
        name=parameter["name"],
        label=words(parameter["name"]).capitalize(),
        input_type="select" if choices else TEXT_TYPES.get(parameter["type"], "text"),
        choices=choices,
        suggestions=tuple(word for one in schema.get("anyOf", ()) for word in one.get("enum", ())),
        value=value,
        is_required=parameter["required"],
        minimum=_whole(schema.get("minimum")),
        maximum=_whole(schema.get("maximum")),
        help=" ".join(part for part in (parameter["description"], usual) if part),
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


def _whole(number: float | None) -> int | None:
    # Numbers come as the doubles of google.protobuf.Value.
    return None if number is None else int(number)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
