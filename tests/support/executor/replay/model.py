"""What an export contains at any moment of a replayed month, and what it adds up to. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

from tests.support.executor.replay.charge import Charge
from tests.support.executor.replay.month import LAG, Month
from tests.support.executor.replay.timeline import Recreation

type Group = tuple[str, str]
"""Service id, currency."""


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Rows and money of some charges."""

    rows: int = 0
    cost: Decimal = Decimal(0)
    credits: Decimal = Decimal(0)
    keys: Counter[str] = field(default_factory=Counter)
    """The key of each row, and how often it is there."""
    exported_to: int = field(default=0, compare=False)
    """The greatest export time, in seconds since 1970. Rows that were exported again are the same rows."""

    @property
    def net(self) -> Decimal:
        """The cost after credits."""
        return self.cost + self.credits


type Groups = dict[Group, Sums]
"""The sums of one day."""


def groups_of(charges: Iterable[Charge]) -> Groups:
    """The sums by service and currency."""
    by_group = defaultdict[Group, list[Charge]](list)
    for charge in charges:
        by_group[charge.service, charge.currency].append(charge)
    return {
        group: Sums(
            rows=len(some),
            cost=sum((one.cost for one in some), Decimal(0)),
            credits=sum((amount for one in some for amount in one.credits), Decimal(0)),
            keys=Counter(one.key for one in some),
            exported_to=max(int(one.export_time.timestamp()) for one in some),
        )
        for group, some in by_group.items()
    }


class ExportModel:
    """The export, followed from its first row on. Moments must not go back."""

    def __init__(self, month: Month, recreations: Sequence[Recreation] = ()) -> None:
        self._coming, self._recreations = list(reversed(month.charges)), list(reversed(recreations))
        self._by_day = defaultdict[date, list[Charge]](list)
        self.moment: datetime | None = None
        self.received = 0
        """Rows that were ever written to the export, those of an export made anew included."""
        self.made_anew = 0
        """How often the export was made anew."""

    def advance(self, moment: datetime) -> set[date]:
        """Everything up to and including `moment` happens. The days that got or lost rows."""
        changed = set[date]()
        while self._recreations and self._recreations[-1].at <= moment:
            anew = self._recreations.pop()
            changed |= self._append(anew.at)
            changed |= self._make_anew(anew)
        changed |= self._append(moment)
        self.moment = moment
        return changed

    @property
    def days(self) -> dict[date, list[Charge]]:
        """The rows of each day that has some."""
        return {day: charges for day, charges in self._by_day.items() if charges}

    def groups(self, day: date) -> Groups:
        """The sums of a day; empty if the export has no row of it."""
        return groups_of(self._by_day.get(day, ()))

    def greatest_export_time(self) -> datetime | None:
        """Of all rows."""
        return max((one.export_time for charges in self._by_day.values() for one in charges), default=None)

    def rows_by_partition(self) -> Counter[date]:
        """How many rows arrived on each day: what a read restricted to partitions goes through."""
        return Counter(one.arrived.date() for charges in self._by_day.values() for one in charges)

    def _append(self, moment: datetime) -> set[date]:
        days = set[date]()
        while self._coming and self._coming[-1].arrived <= moment:
            charge = self._coming.pop()
            self._by_day[charge.day].append(charge)
            self.received += 1
            days.add(charge.day)
        return days

    def _make_anew(self, anew: Recreation) -> set[date]:
        days = {day for day, charges in self._by_day.items() if charges}
        for day in days:
            back = [one for one in self._by_day[day] if anew.since is None or one.usage_start >= anew.since]
            self._by_day[day] = [replace(one, export_time=anew.at - LAG, arrived=anew.at) for one in back]
            self.received += len(back)
        self.made_anew += 1
        return days


def contents(month: Month, recreations: Sequence[Recreation], moment: datetime) -> list[Charge]:
    """What the export contains at `moment`, worked out from nothing: what the model is checked against."""
    past = [anew for anew in recreations if anew.at <= moment]
    last = past[-1] if past else None
    found = list[Charge]()
    for charge in month.charges:
        if charge.arrived > moment:
            continue
        comes_back = all(one.since is None or charge.usage_start >= one.since for one in past if charge.arrived <= one.at)
        if last is None or charge.arrived > last.at:
            found.append(charge)
        elif comes_back:
            found.append(replace(charge, export_time=last.at - LAG, arrived=last.at))
    return found
