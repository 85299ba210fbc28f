"""The bodies of runs: what each template of this installation takes."""

from services.executor.steps import STEP_TYPES
from services.executor.templates.body_schema import body_schema
from services.executor.templates.catalog import load_catalog
from tools.openapi.protos import ROOT
from tools.openapi.schemas import Schema


def run_bodies() -> dict[str, Schema]:
    """The schema of each template's parameters, by the name of its component, e.g. `GcpCostBillingParameters`."""
    templates = load_catalog(ROOT / "configs", STEP_TYPES).templates
    found = {_name(name.path): body_schema(template) for name, template in sorted(templates.items(), key=lambda one: one[0].path)}
    # The dialect is that of the whole document.
    return {name: {key: value for key, value in schema.items() if key != "$schema"} for name, schema in found.items()}


def _name(path: str) -> str:
    return "".join(part.capitalize() for part in path.replace("/", "_").split("_")) + "Parameters"
