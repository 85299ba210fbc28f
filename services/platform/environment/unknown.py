"""Variables that look like settings and are settings of nothing: who misspells a setting would otherwise go on with its default, unaware.

All parts of the suite may be given one environment, so a variable counts as known if any service has it.
"""

import difflib
import importlib
import pkgutil
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Final

import services
from services.platform.environment.reading import EnvironmentSettings, variables

PREFIX: Final = "CONVERGENCE_"
ELSEWHERE: Final[Mapping[str, str]] = {
    "CONSOLE_PORT": "LOCALCLOUD_CONSOLE_PORT or CONSOLE_LISTEN_PORT",
    "GATEWAY_PORT": "LOCALCLOUD_GATEWAY_PORT or GATEWAY_LISTEN_PORT",
}
"""Names that docker-compose.yml takes and no program does, with what does the same for `make up` and for a process by itself."""
LEAST_LIKENESS: Final = 0.6
"""Of two names without their prefix, as `difflib` counts it: 1 for the same."""
OF_KUBERNETES: Final = re.compile(r"\w+_SERVICE_(HOST|PORT)(_\w+)?=|\w+_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=|=(tcp|udp|sctp)://)")
"""What Kubernetes gives to the pods of a namespace that has a Service called `convergence` or `convergence-...`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unknown:
    """A variable that nothing reads."""

    variable: str
    nearest: str
    """The known variable with the most similar name, or what is called so elsewhere; empty: none is similar."""

    def line(self) -> dict[str, str]:
        """For a log."""
        return {"event": "unknown_setting", "variable": self.variable, "nearest": self.nearest, "detail": str(self)}

    def __str__(self) -> str:
        """For people; never the value, which may be a secret."""
        meant = f" Did you mean {self.nearest}?" if self.nearest else ""
        return f"{self.variable} is no setting of this version, and has no effect.{meant}"


def unknown(environment: Mapping[str, str], known: Collection[str], *, prefix: str = PREFIX) -> list[Unknown]:
    """Of its variables, those that begin with the prefix and are not known, sorted. Pure."""
    found = sorted(name for name in environment if name.upper().startswith(prefix) and name.upper() not in known)
    return [
        Unknown(variable=name, nearest=ELSEWHERE.get(name.upper()) or _nearest(name.upper(), known, prefix))
        for name in found
        if not OF_KUBERNETES.match(f"{name}={environment[name]}")
    ]


def _nearest(name: str, known: Collection[str], prefix: str) -> str:
    endings = [one.removeprefix(prefix) for one in sorted(known) if one.startswith(prefix)]
    near = difflib.get_close_matches(name.removeprefix(prefix), endings, n=1, cutoff=LEAST_LIKENESS)
    return f"{prefix}{near[0]}" if near else ""


@cache
def of_all_services() -> frozenset[str]:
    """The variables of all services: of every package of `services` that has a module `settings`. The services do not import each other,
    and no list of theirs could be forgotten here.
    """
    modules = [f"{services.__name__}.{package.name}.settings" for package in pkgutil.iter_modules(services.__path__) if package.ispkg]
    found = [importlib.import_module(name) for name in modules if find_spec(name)]
    kinds = {kind for module in found for kind in vars(module).values() if isinstance(kind, type)}
    return variables(*(kind for kind in kinds if issubclass(kind, EnvironmentSettings)))
