"""The bodies of runs: what each template of this installation takes."""

from collections.abc import Mapping
from typing import Any

from services.executor.steps import STEP_TYPES
from services.executor.templates.catalog import load_catalog
from services.executor.templates.parameters import DATE_WORDS, INTEGERS, MONTH_WORDS, STRING_LENGTH, ParameterSpec, ParameterType
from services.executor.templates.template import Template
from tools.openapi.protos import ROOT
from tools.openapi.schemas import Schema

_TEXT = {"type": "string", "minLength": 1, "maxLength": STRING_LENGTH}
_TYPES: Mapping[ParameterType, Schema] = {
    ParameterType.DATE: {"type": "string", "pattern": rf"^(\d{{4}}-\d{{2}}-\d{{2}}|{'|'.join(DATE_WORDS)})$"},
    ParameterType.MONTH: {"type": "string", "pattern": rf"^(\d{{4}}-(0[1-9]|1[0-2])|{'|'.join(MONTH_WORDS)})$"},
    ParameterType.INTEGER: {"type": "integer", "minimum": INTEGERS.start, "maximum": INTEGERS.stop - 1},
    ParameterType.BOOLEAN: {"type": "boolean"},
    ParameterType.EMAIL: {**_TEXT, "format": "email"},
}


def run_bodies() -> dict[str, Schema]:
    """The schema of each template's parameters, by the name of its component, e.g. `GcpCostBillingParameters`."""
    templates = load_catalog(ROOT / "configs", STEP_TYPES).templates
    return {_name(name.path): body_schema(template) for name, template in sorted(templates.items(), key=lambda one: one[0].path)}


def body_schema(template: Template) -> Schema:
    """What a call that runs the template sends."""
    required = [spec.name for spec in template.parameters if spec.required]
    schema: Schema = {
        "type": "object",
        "title": template.name.path,
        "description": template.description,
        "properties": {spec.name: _parameter(spec) for spec in template.parameters},
        "additionalProperties": False,
    }
    return schema | ({"required": required} if required else {})


def _parameter(spec: ParameterSpec) -> Schema:
    schema: dict[str, Any] = {**_TYPES.get(spec.type, _TEXT), "description": spec.description}
    if spec.choices:
        schema = {"type": "string", "enum": list(spec.choices), "description": spec.description}
    if spec.range:
        schema |= {"minimum": spec.range[0], "maximum": spec.range[1]}
    return schema | ({"default": spec.default} if spec.default is not None else {})


def _name(path: str) -> str:
    return "".join(part.capitalize() for part in path.replace("/", "_").split("_")) + "Parameters"
