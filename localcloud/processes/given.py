"""The settings of services, gateway and console that the caller of `make up` has set in its own environment: which of them reach the
processes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from console.settings import ConsoleSettings
from gateway.settings import GatewaySettings
from localcloud.processes.environment import client_environment, emulator_environment
from localcloud.processes.suite import make_process
from localcloud.settings import ENV_PREFIX, SERVICES, LocalSettings
from services.platform.environment.reading import variables
from services.platform.environment.unknown import Unknown, of_all_services, unknown

FOR_SERVICES, FOR_GATEWAY, FOR_CONSOLE = "CONVERGENCE_", "GATEWAY_", "CONSOLE_"
OURS = (FOR_SERVICES, FOR_GATEWAY, FOR_CONSOLE)
LOCATIONS = "CONVERGENCE_TENANT_LOCATIONS"
# Variables for callers of the suite, e.g. an API key. They are no settings, and services do not get them.
FOR_CLIENTS = frozenset(
    f"CONVERGENCE_{name}" for name in ("URL", "TENANT_ID", "USER_ID", "CA_FILE", "API_KEY", "ADMIN_KEY", "TOKEN", "PROFILE", "DEBUG")
)
DECIDED_BY = {
    "CONVERGENCE_CONTROL_DATASET": "CONTROL_DATASET",
    "CONVERGENCE_GRACE_SECONDS": "STOP_GRACE",
    "CONVERGENCE_LEASE_SECONDS": "LEASE_SECONDS",
    "CONVERGENCE_LOCATION": "LOCATION",
    "CONVERGENCE_OIDC": "SCHEDULER_OIDC",
    "CONVERGENCE_SPOOL_DIR": "STATE_DIR",
    "CONVERGENCE_TLS_DIR": "STATE_DIR",
    "GOOGLE_CLOUD_PROJECT": "PROJECT",
    "GATEWAY_LISTEN_PORT": "GATEWAY_PORT",
    "GATEWAY_ADMIN_PORT": "ENVOY_ADMIN_PORT",
    "GATEWAY_STATS_PORT": "GATEWAY_METRICS_PORT",
    "CONSOLE_LISTEN_PORT": "CONSOLE_PORT",
    **{f"CONVERGENCE_{name.upper()}_ADDRESS": f"{name.upper()}_PORT" for name in SERVICES},
}
"""Variables that the stack decides, with the stack's own setting that changes them."""
# The jobs and the printed lines call the gateway over plain HTTP. docs/google-cloud.md says how to try TLS.
PLAIN_HTTP = frozenset({"GATEWAY_TLS_CERTIFICATE", "GATEWAY_TLS_KEY"})


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenSettings:
    """What was set, in two parts. Its repr has names only: a value may be a secret."""

    extra: Mapping[str, Mapping[str, str]]
    """What each process gets in addition, by its name."""
    ignored: tuple[str, ...]
    """The variables that the stack decides, e.g. addresses, ports and keys: what was set for them has no effect."""
    unknown: tuple[Unknown, ...] = ()
    """Variables that no process reads. They are not passed on, and are named once."""

    def __repr__(self) -> str:
        """For example `GivenSettings(passed_on=('GATEWAY_TIMEOUT_SECONDS',), ignored=())`."""
        return f"GivenSettings(passed_on={self.passed_on}, ignored={self.ignored})"

    @property
    def passed_on(self) -> tuple[str, ...]:
        """The names of all variables that reach a process."""
        return tuple(sorted({name for variables in self.extra.values() for name in variables if name.startswith(OURS)}))

    def lines(self) -> list[str]:
        """For people; none if nothing was set."""
        passed = f"Passed on from your environment: {', '.join(self.passed_on)}."
        said = [passed] if self.passed_on else []
        return [*said, *map(_why_ignored, self.ignored), *(f"Take care: {one}" for one in self.unknown)]


def given_settings(settings: LocalSettings, environment: Mapping[str, str]) -> GivenSettings:
    """Of `environment`, the variables `CONVERGENCE_*` for the services and the bootstrap, `GATEWAY_*` for the gateway,
    `CONSOLE_*` for the console, and no others. The KMS gets the keys that `CONVERGENCE_TENANT_LOCATIONS` names.
    """
    processes = {name: make_process(settings, name, admin_key="").environment for name in (*SERVICES, "gateway", "console")}
    caller = client_environment(settings, admin_key="")
    decided = PLAIN_HTTP.union(caller, *processes.values())
    # A shell that has read `.local/env` has set what is decided anyway.
    new = {name: value for name, value in environment.items() if caller.get(name) != value}
    # Settings are read whatever the case of their names.
    given = {name.upper(): value for name, value in new.items() if name.upper().startswith(OURS) and name.upper() not in FOR_CLIENTS}
    known = {FOR_SERVICES: of_all_services(), FOR_GATEWAY: variables(GatewaySettings), FOR_CONSOLE: variables(ConsoleSettings)}
    undecided = {name: value for name, value in given.items() if name not in decided}
    strange = [one for prefix, names in known.items() for one in unknown(undecided, names, prefix=prefix)]
    free = {name: value for name, value in undecided.items() if any(name in names for names in known.values())}
    services = {name: value for name, value in free.items() if name.startswith(FOR_SERVICES)}
    gateway = {name: value for name, value in free.items() if name.startswith(FOR_GATEWAY)}
    console = {name: value for name, value in free.items() if name.startswith(FOR_CONSOLE)}
    kms = {f"{ENV_PREFIX}MORE_KMS_KEYS": json.dumps(keys)} if (keys := _keys_of(services.get(LOCATIONS, "{}"))) else {}
    extra = {**dict.fromkeys((*SERVICES, "bootstrap"), services), "gateway": gateway, "console": console, "kms": kms}
    ignored = (given.keys() & decided) | (new.keys() & emulator_environment(settings).keys())
    return GivenSettings(extra=extra, ignored=tuple(sorted(ignored)), unknown=tuple(strange))


def _why_ignored(name: str) -> str:
    if name in PLAIN_HTTP:
        why = "on a laptop the gateway speaks plain HTTP"
    elif name in DECIDED_BY:
        why = f"this stack decides it, by {ENV_PREFIX}{DECIDED_BY[name]}"
    else:
        why = "this stack decides it"
    return f"Take care: {name} has no effect here: {why}."


def _keys_of(locations: str) -> list[str]:
    """The KMS keys of tenants' locations; none if the text is wrong, which the services say."""
    try:
        return [str(key) for key in dict(json.loads(locations)).values()]
    except (ValueError, TypeError):
        return []
