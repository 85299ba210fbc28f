"""The alerts, and the expressions of dashboards, as they are in deploy/monitoring."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.platform.settings import REPOSITORY
from tests.support.yaml_text import parsed

MONITORING: Final = REPOSITORY / "deploy" / "monitoring"
ALERTS: Final = MONITORING / "alerts.yml"
DASHBOARDS: Final = MONITORING / "dashboards"

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION: Final = re.compile(r"(?<=[\[ ])(\d+)([smhdw])(?=[\]\s)]|$)")
_PRODUCT: Final = re.compile(r"(\d+) \* (60|3600|86400)\b")
_METRIC: Final = re.compile(r"\b(?:convergence_|envoy_|process_|python_)\w+|\bup\b")
_LABELS: Final = {"envoy_response_code_class", "envoy_http_conn_manager_prefix"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """What a dashboard asks Prometheus."""

    dashboard: str
    title: str
    expr: str


def groups() -> list[dict[str, Any]]:
    """The groups of rules."""
    found: list[dict[str, Any]] = parsed(ALERTS.read_text())["groups"]
    return found


def alerts() -> dict[str, Mapping[str, Any]]:
    """The alerts, by name."""
    return {rule["alert"]: rule for group in groups() for rule in group["rules"] if "alert" in rule}


def recorded() -> set[str]:
    """The names of series that rules record."""
    return {rule["record"] for group in groups() for rule in group["rules"] if "record" in rule}


def panels() -> Iterator[Panel]:
    """Every expression of every dashboard, its variables filled in."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                expr = target["expr"].replace("$__rate_interval", "5m").replace("$__range", "1h")
                yield Panel(dashboard=path.stem, title=panel["title"], expr=expr)


def metric_names(expr: str) -> set[str]:
    """The metrics that an expression names, without the suffix of a histogram's series."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in _METRIC.findall(expr)} - _LABELS


KEPT: Final = ("ConvergenceCertificateExpires", "ConvergenceDataStale", "ConvergenceDollarsAboveForecast")
"""They compare with times that a test can make as they are."""


def sped_up(longest: float, *, least: float = 4.0) -> list[dict[str, Any]]:
    """The groups with all times of a rule made shorter by one factor, so that the longest takes `longest` seconds, but none is shorter than
    `least`; an alert fires `least` after it began to hold. So a rule judges by the same number of samples, of a suite whose jobs come every
    few seconds.
    """
    return [{**group, "interval": "1s", "rules": [_faster(rule, longest, least) for rule in group["rules"]]} for group in groups()]


def _faster(rule: Mapping[str, Any], longest: float, least: float) -> dict[str, Any]:
    times = [int(number) * UNITS[unit] for number, unit in _DURATION.findall(f"{rule['expr']} {rule.get('for', '')}")]
    times += [int(number) * int(unit) for number, unit in _PRODUCT.findall(rule["expr"])]
    factor = 1.0 if rule.get("alert") in KEPT else max(1.0, max(times, default=1) / longest)

    def shorter(seconds: int) -> float:
        return max(min(least, seconds), seconds / factor)

    expr = _DURATION.sub(lambda match: f"{shorter(int(match[1]) * UNITS[match[2]]) * 1000:.0f}ms", rule["expr"])
    expr = _PRODUCT.sub(lambda match: f"{shorter(int(match[1]) * int(match[2])):.3f}", expr)
    found = {**rule, "expr": expr}
    return found | ({"for": f"{least * 1000:.0f}ms"} if "for" in rule else {})
