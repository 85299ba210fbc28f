"""What becomes of slots that a schedule missed, and what does where the schedule does not say. Pure."""

import re
from collections.abc import Mapping
from typing import Any

CATCH_UPS = ("latest", "days", "all")
"""The last of the missed slots runs, the last of each UTC day, or each."""
_DAY, _RANGE = "date", ("start_date", "end_date")
_LITERAL = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def default_catch_up(parameters: Mapping[str, Any]) -> str:
    """`latest` where a schedule's own parameters fix the days of its runs: each run would load the same days again, at a unit of quota
    each. Else `days`: a night that is missed is a day that is never loaded.
    """
    given = {name: value for name in (_DAY, *_RANGE) if (value := parameters.get(name)) is not None}
    names_days = _DAY in given or given.keys() >= set(_RANGE)
    is_fixed = names_days and all(isinstance(value, str) and _LITERAL.fullmatch(value) for value in given.values())
    return "latest" if is_fixed else "days"
