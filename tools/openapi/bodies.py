"""The bodies of runs: what each template of this installation takes."""

from services.executor.steps import STEP_TYPES
from services.executor.templates.body_schema import body_schema
from services.executor.templates.catalog import load_catalog
from tools.openapi.prose import paragraphs
from tools.openapi.protos import ROOT
from tools.openapi.schemas import Schema


def run_bodies() -> dict[str, Schema]:
    """The schema of each template's parameters, by the name of its component, e.g. `GcpCostBillingParameters`."""
    templates = load_catalog(ROOT / "configs", STEP_TYPES).templates
    found = {name.path: body_schema(template) for name, template in sorted(templates.items(), key=lambda one: one[0].path)}
    return {_name(path): for_generators(schema) for path, schema in found.items()}


def for_generators(body: Schema) -> Schema:
    """A body's schema without what generators of clients misread: which parameters go together, and defaults, become words.

    ListTemplates answers the whole schema, for forms and for checks before a call.
    """
    forms = [" and ".join(f"`{name}`" for name in form["required"]) for form in body.get("oneOf", ()) if "required" in form]
    schema: Schema = {
        "type": "object",
        "description": paragraphs(f"`{body['title']}`: {body['description']}", f"Give one of: {', '.join(forms)}." if forms else ""),
        "properties": {name: _property(field) for name, field in body["properties"].items()},
        "additionalProperties": False,
    }
    return schema | ({"required": body["required"]} if "required" in body else {})


def _property(field: Schema) -> Schema:
    # openapi-typescript takes a type that stands beside anyOf for none, and a property with a default for one that must be sent.
    found = {key: value for key, value in field.items() if key not in {"type", "anyOf", "default", "description"}}
    kinds = {"anyOf": [{"type": field["type"], **one} for one in field["anyOf"]]} if "anyOf" in field else {"type": field["type"]}
    default = f"Default: `{field['default']}`." if "default" in field else ""
    return {**kinds, **found, "description": f"{field['description']} {default}".strip()}


def _name(path: str) -> str:
    return "".join(part.capitalize() for part in path.replace("/", "_").split("_")) + "Parameters"
