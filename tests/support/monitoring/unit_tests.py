"""Promtool's unit tests of the alerts, made of `cases`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.monitoring.cases import CASES, HOUR, LONG, SHORT, WELL, Span, Values
from tests.support.monitoring.rules import alerts, groups

RULES = "rules.yml"


def write_unit_tests(folder: Path) -> list[Path]:
    """Writes promtool's files, one for each span; the rules beside them are without annotations, which promtool would compare."""
    bare = groups()
    for rule in (rule for group in bare for rule in group["rules"]):
        rule.pop("annotations", None)
    (folder / RULES).write_text(yaml.safe_dump({"groups": bare}, sort_keys=False, width=1000))
    paths = []
    for name, span in (("short", SHORT), ("long", LONG)):
        paths.append(folder / f"{name}.yml")
        paths[-1].write_text(yaml.safe_dump(unit_tests(span), sort_keys=False, width=1000))
    return paths


def unit_tests(span: Span) -> dict[str, Any]:
    """The content of a file. In each case every other alert must be silent. Raises ValueError if an alert has no case."""
    known = alerts()
    if missing := known.keys() - {case.alert for case in CASES}:
        raise ValueError(f"no case fires {sorted(missing)}")
    looks = (HOUR, span.end // 2, span.end)
    tests = [_test("all is well", span, WELL, [_expect(name, minute, ()) for minute in looks for name in known])]
    for case in (one for one in CASES if one.span is span):
        expected = [_expect(name, span.end, [case.labels] if name == case.alert else ()) for name in known]
        tests.append(_test(case.alert, span, {**WELL, **case.changes}, expected))
    # Without an order promtool takes any: an alert may then miss what has yet to be recorded at this moment.
    order = [group["name"] for group in groups()]
    return {"rule_files": [RULES], "evaluation_interval": f"{span.every}m", "group_eval_order": order, "tests": tests}


def _expect(name: str, minute: int, fires: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    alert = alerts()[name]
    expected = [{"exp_labels": {**alert["labels"], **one}} for one in fires]
    return {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": expected}


def _test(name: str, span: Span, series: Mapping[str, Values], expected: list[dict[str, Any]]) -> dict[str, Any]:
    inputs = [{"series": one, "values": values(span)} for one, values in series.items()]
    return {"name": name, "interval": f"{span.every}m", "input_series": inputs, "alert_rule_test": expected}
