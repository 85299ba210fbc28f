"""The fire times of some runs, which bound the partitions of `scheduled_pipeline_runs` that a statement reads."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Self


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """The first and the last fire time, both included."""

    first: datetime
    last: datetime

    @classmethod
    def of(cls, fire_times: Iterable[datetime]) -> Self:
        """The span of these, of which there is at least one."""
        times = list(fire_times)
        return cls(first=min(times), last=max(times))

    @property
    def params(self) -> dict[str, datetime]:
        """As parameters of a statement."""
        return {"first_time": self.first, "last_time": self.last}
