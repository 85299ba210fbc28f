"""How long records are kept: the least that the suite itself needs. Less is refused when a process starts. docs/upgrading.md has the table.

The default of what has grown for ever until now is to go on so: no release deletes records that the one before has kept.
"""

from typing import Annotated

from pydantic import AfterValidator

FOR_EVER = 0


def _at_least(days: int, why: str, *, or_for_ever: bool = False) -> AfterValidator:
    def check(value: int) -> int:
        if value >= days or (or_for_ever and value == FOR_EVER):
            return value
        alternative = f", or {FOR_EVER} to keep them for ever" if or_for_ever else ""
        raise ValueError(f"{value} days are too few: {why}. Use {days} or more{alternative}.")

    return AfterValidator(check)


type RunDays = Annotated[
    int,
    _at_least(35, "a run must stay known for longer than it may wait in the queue, and its month be over", or_for_ever=True),
]
type QuotaDays = Annotated[int, _at_least(35, "the limits of a month are counted over all of its days")]
type ReportDays = Annotated[int, _at_least(31, "operators see the runs of the last month")]
type AuditDays = Annotated[int, _at_least(31, "the audit log is read for the last thirty days unless a caller says otherwise")]
