"""A run's steps, to scale: where each try began and how long it took. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from console.web.wording import kind, moment

WIDTH = 1000.0
"""Units of the drawing, from the run's start to its end."""
THINNEST = 3.0
"""What took no time at all can be seen all the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One try of a step, in units of the drawing."""

    x: float
    width: float
    kind: str
    """good, bad, busy or idle."""


@dataclass(kw_only=True, slots=True)
class StepLine:
    """One step: what its last try says, and a bar for each try."""

    step_id: str
    step_type: str
    status: str
    tries: int
    bars: list[Bar] = field(default_factory=list)
    duration_ms: int | None = None
    """Of all tries together; None while the first one runs, and of a step that was skipped."""
    rows: str | None = None
    cost_usd: float | None = None
    """Of all tries together; None: not known yet."""
    errors: list[str] = field(default_factory=list)
    """Of failed tries, in order."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Its metadata, without the cost."""


def timeline(run: Mapping[str, Any], now: datetime) -> list[StepLine]:
    """The steps of a run as GetRun returns it, in the template's order; a run that goes on is drawn until `now`."""
    began = moment(run["started_at"]) or now
    ended = moment(run.get("completed_at")) or now
    scale = WIDTH / max((ended - began).total_seconds(), 0.001)
    lines: dict[str, StepLine] = {}
    since: dict[str, datetime] = {}
    for log in sorted(run["steps"], key=lambda one: one["step_index"]):
        step = log["step_id"]
        line = lines.setdefault(step, StepLine(step_id=step, step_type=log["step_type"], status=log["status"], tries=0))
        line.status, line.tries = log["status"], max(line.tries, log["attempt"])
        at = moment(log["timestamp"]) or now
        if log["action"] == "STEP_STARTED":
            since[step] = at
        elif log["action"] != "STEP_SKIPPED":
            start = since.pop(step, at)
            line.bars.append(_bar((start - began).total_seconds() * scale, (at - start).total_seconds() * scale, log["status"]))
        _add(line, log)
    for step, start in since.items():
        lines[step].bars.append(_bar((start - began).total_seconds() * scale, (ended - start).total_seconds() * scale, lines[step].status))
    return list(lines.values())


def _bar(x: float, width: float, status: str) -> Bar:
    x = min(max(x, 0.0), WIDTH - THINNEST)
    return Bar(x=round(x, 1), width=round(min(max(width, THINNEST), WIDTH - x), 1), kind=kind(status))


def _add(line: StepLine, log: Mapping[str, Any]) -> None:
    if log.get("duration_ms") is not None:
        line.duration_ms = (line.duration_ms or 0) + int(log["duration_ms"])
    if log.get("rows_processed") is not None:
        line.rows = str(log["rows_processed"])
    if log.get("error_message"):
        line.errors.append(log["error_message"])
    facts = dict(log.get("metadata") or {})
    cost = facts.pop("cost", None) or {}
    if cost.get("cost_usd") is not None:
        line.cost_usd = (line.cost_usd or 0.0) + float(cost["cost_usd"])
    line.facts.update(facts)


def failed_checks(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The checks that did not pass, those that fail the run first."""
    return sorted((one for one in results if one["status"] != "PASSED"), key=lambda one: one["severity"] != "error")
