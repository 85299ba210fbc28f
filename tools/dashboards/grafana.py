"""A dashboard as Grafana's JSON, of few kinds of panels that all look alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

WIDTH, HEIGHT, IN_A_ROW = 8, 8, 3
"""Of a panel, in Grafana's grid of 24 columns."""
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A line, or several: one for each series of its answer."""

    expr: str
    legend: str = ""
    """`{{label}}` is replaced by the series' label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PanelSpec:
    """A panel. `unit`: as Grafana calls it, e.g. `s`, `reqps`, `bytes`, `currencyUSD`, `percentunit`, `dateTimeFromNow`."""

    title: str
    what: str
    """A sentence: what it says, and what is normal."""
    queries: Sequence[Query]
    unit: str = "short"
    is_number: bool = False
    """Shows the latest value, not a line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """A dashboard. `uid`: in its address, and the name of its file."""

    uid: str
    title: str
    panels: Sequence[PanelSpec]


def to_json(board: Board) -> dict[str, Any]:
    """As Grafana imports it (schema 39, Grafana 10 and newer)."""
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0, "refresh": 1}
    return {
        "uid": f"convergence-{board.uid}",
        "title": f"Convergence: {board.title}",
        "tags": ["convergence"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "templating": {"list": [source]},
        "links": [{"type": "dashboards", "tags": ["convergence"], "title": "Convergence", "asDropdown": False, "includeVars": True}],
        "panels": [_panel(number, panel) for number, panel in enumerate(board.panels)],
    }


def _panel(number: int, panel: PanelSpec) -> dict[str, Any]:
    row, column = divmod(number, IN_A_ROW)
    lines = {"custom": {"fillOpacity": 8, "lineWidth": 1, "showPoints": "never", "spanNulls": True}}
    return {
        "id": number + 1,
        "type": "stat" if panel.is_number else "timeseries",
        "title": panel.title,
        "description": panel.what,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, **({} if panel.is_number else lines)}, "overrides": []},
        "targets": [_target(refers, query, panel) for refers, query in zip("ABCDEFGH", panel.queries, strict=False)],
    }


def _target(refers: str, query: Query, panel: PanelSpec) -> dict[str, Any]:
    legend = query.legend or "__auto"
    return {"refId": refers, "datasource": SOURCE, "expr": query.expr, "legendFormat": legend, "instant": panel.is_number}
