"""The rules for missed fire times that a schedule may have, and the default. `queue/trigger_plan.py` applies them. Pure."""

import re
from collections.abc import Mapping
from typing import Any

CATCH_UPS = ("latest", "days", "all")
"""Queue the last missed fire time, the last of each UTC day, or each of them."""
_DAY, _RANGE = "date", ("start_date", "end_date")
_LITERAL = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def default_catch_up(parameters: Mapping[str, Any]) -> str:
    """`latest` if the schedule's parameters fix the days of its runs: each run would load the same days again and use quota for it.
    Otherwise `days`: a missed night would be a day that is never loaded.
    """
    given = {name: value for name in (_DAY, *_RANGE) if (value := parameters.get(name)) is not None}
    names_days = _DAY in given or given.keys() >= set(_RANGE)
    is_fixed = names_days and all(isinstance(value, str) and _LITERAL.fullmatch(value) for value in given.values())
    return "latest" if is_fixed else "days"
