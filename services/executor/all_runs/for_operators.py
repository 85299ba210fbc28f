"""What operators see of a run's error. Pure.

An error names steps, checks, counts, tables and files, never rows or secrets. Two kinds of it also hold what the tenant's costs are: what a
failed check has observed (`checks/verdicts.py`), and by how much a day would shrink (`steps/publish_changes.py`). That stays the tenant's.
"""

import re
from typing import Final

OBSERVED: Final = ", observed: "
REST: Final = "; the rest is shown to the tenant only)."
_AMOUNTS = re.compile(r" and -?\d+\.\d\d of -?\d+\.\d\d(?: \w+)?")


def for_operators(message: str | None) -> str | None:
    """The error without the tenant's figures. What a check observed may be any text, so nothing after the first of them is kept."""
    if message is None:
        return None
    kept, observed, _ = message.partition(OBSERVED)
    return _AMOUNTS.sub("", kept) + (REST if observed else "")
