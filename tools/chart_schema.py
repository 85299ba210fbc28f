"""Writes `deploy/helm/convergence/values.schema.json`: `python -m tools.chart_schema`.

By it Helm refuses values that the chart does not know, and settings that no program reads. The shape comes from the chart's `values.yaml`,
the settings from the programs' own classes, so neither can be forgotten here.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic_settings import BaseSettings

from console.settings import ConsoleSettings
from gateway.settings import GatewaySettings
from services.auth.settings import AuthSettings
from services.credentials.settings import CredentialsSettings
from services.executor.settings import ExecutorSettings
from services.platform.environment.reading import variables as all_variables
from services.platform.settings import REPOSITORY, ServiceSettings
from services.scheduler.settings import SchedulerSettings

CHART = REPOSITORY / "deploy" / "helm" / "convergence"
SCHEMA = CHART / "values.schema.json"
SERVICES: Mapping[str, type[ServiceSettings]] = {
    "auth": AuthSettings,
    "credentials": CredentialsSettings,
    "scheduler": SchedulerSettings,
    "executor": ExecutorSettings,
}
OWN = frozenset(
    {
        "CONVERGENCE_LISTEN",
        "CONVERGENCE_METRICS_PORT",
        "CONVERGENCE_TLS_DIR",
        "GATEWAY_LISTEN_HOST",
        "GATEWAY_LISTEN_PORT",
        "GATEWAY_STATS_PORT",
    }
)
"""What the chart itself decides, as its ports and probes depend on it."""
FREE = frozenset({"annotations", "resources", "nodeSelector", "podAnnotations", "issuerRef", "labels"})
"""Objects of Kubernetes, whose keys the chart does not know."""
TEXTS = frozenset({"tenantLocations"})
"""Maps of names that the chart does not know to texts."""
VALUE = {"type": ["string", "number", "boolean"]}


def variables(*classes: type[BaseSettings]) -> list[str]:
    """The environment variables that these classes read, sorted, without those of emulators and those that the chart sets itself."""
    return sorted(name for name in all_variables(*classes) - OWN if "EMULATOR" not in name)


def settings_schema(names: Iterable[str]) -> dict[str, Any]:
    """Of a map of settings by variable."""
    return {"type": "object", "propertyNames": {"enum": list(names)}, "additionalProperties": VALUE}


def schema_of(value: object, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Of a value by the default that `values.yaml` gives it."""
    name = path[-1] if path else ""
    if isinstance(value, dict):
        if name in FREE:
            return {"type": "object"}
        if name in TEXTS:
            return {"type": "object", "additionalProperties": {"type": "string"}}
        if name == "settings":
            return settings_schema(_settings_at(path))
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {key: schema_of(one, (*path, key)) for key, one in value.items()},
        }
    if isinstance(value, int) and not isinstance(value, bool):
        # A disruption budget may be a percentage.
        return {"type": ["integer", "string"] if name == "maxUnavailable" else "integer", "minimum": 0}
    return {"type": {bool: "boolean", list: "array"}.get(type(value), "string")}


def _settings_at(path: tuple[str, ...]) -> list[str]:
    match path:
        case ("settings",):
            return variables(*SERVICES.values())
        case ("services", service, "settings"):
            return variables(SERVICES[service])
        case ("gateway", "settings"):
            return variables(GatewaySettings)
        case ("console", "settings"):
            return variables(ConsoleSettings)
        case _:
            raise ValueError(f"values.yaml has settings at {'.'.join(path)}, of which it is not known what reads them")


def schema() -> str:
    """The whole file."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    whole = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart convergence", **schema_of(values)}
    # What Helm and parent charts add.
    whole["properties"]["global"] = {"type": "object"}
    return json.dumps(whole, indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema())
