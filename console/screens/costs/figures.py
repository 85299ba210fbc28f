"""What the chart and the table show, from answers of the API. Amounts are exact decimals until they are drawn."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from console.gateway.api import Json

REST = "all others"
NO_VALUE = "(none)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One colour of the chart."""

    name: str
    value: str | None
    """The group's value, to filter by; None: the rest, which has none."""
    amounts: tuple[Decimal, ...]
    """One for each period."""

    @property
    def total(self) -> Decimal:
        """Over all periods."""
        return sum(self.amounts, Decimal(0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """Stacked bars: a bar for each period, a colour for each series. The greatest series is first, the rest last."""

    periods: tuple[str, ...]
    series: tuple[Series, ...]

    @property
    def totals(self) -> tuple[Decimal, ...]:
        """Of each period."""
        return tuple(sum((one.amounts[i] for one in self.series), Decimal(0)) for i in range(len(self.periods)))

    def drawn(self, states: Mapping[str, str]) -> dict[str, Any]:
        """For the script that draws it. A pixel needs no more than a float has."""
        return {
            "periods": list(self.periods),
            "states": [states.get(period, "") for period in self.periods],
            "series": [{"name": one.name, "amounts": [float(amount) for amount in one.amounts]} for one in self.series],
        }


def chart_of(costs: Iterable[Json], *, currency: str, group: str, periods: Sequence[str]) -> Chart:
    """The chart of one currency."""
    amounts = defaultdict[str | None, dict[str, Decimal]](dict)
    for one in costs:
        if one["currency"] == currency:
            value = None if one["is_rest"] else one["group"].get(group, "")
            amounts[value][one["period"]] = Decimal(one["cost"])
    series = [
        Series(
            name=REST if value is None else value or NO_VALUE,
            value=value,
            amounts=tuple(by_period.get(period, Decimal(0)) for period in periods),
        )
        for value, by_period in amounts.items()
    ]
    return Chart(periods=tuple(periods), series=tuple(sorted(series, key=lambda one: (one.value is None, -one.total, one.name))))


def periods_of(start: str, end: str, granularity: str) -> list[str]:
    """All days or months of a range, those without costs included."""
    first, last = date.fromisoformat(start), date.fromisoformat(end)
    days = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    return list(dict.fromkeys(day[:7] for day in days)) if granularity == "month" else days


def currency_of(totals: Sequence[Json], asked: str) -> str:
    """The currency to show: the one that is asked for, if it has costs, else the one with the greatest total. Empty: there are no costs."""
    if any(one["currency"] == asked for one in totals):
        return asked
    return max(totals, key=lambda one: abs(Decimal(one["amount"])))["currency"] if totals else ""


def amount_in(rows: Iterable[Json], currency: str, field: str = "amount") -> Decimal:
    """The sum of the rows of one currency."""
    return sum((Decimal(one[field]) for one in rows if one["currency"] == currency), Decimal(0))


def credits_in(kinds: Iterable[Json], currency: str) -> Decimal:
    """What was credited, mostly negative."""
    return amount_in((one for one in kinds if one["group"].get("charge_category") == "Credit"), currency, "cost")


LEAST_SETTLED = ("OPEN", "SETTLING", "FINAL")


def states_of(days: Iterable[Json], periods: Sequence[str], holes: Iterable[str]) -> dict[str, str]:
    """How settled each period is: as its least settled day. MISSING: one of its days was never loaded."""
    found = dict[str, str]()
    known = set(periods)
    for one in days:
        for period in {one["date"], one["date"][:7]} & known:
            found[period] = min(found.get(period, "FINAL"), one["state"], key=LEAST_SETTLED.index)
    for hole in holes:
        found |= dict.fromkeys({hole, hole[:7]} & known, "MISSING")
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """By how much the costs of one service have moved."""

    service: str
    source: str
    delta: Decimal
    days: int
    first_day: str
    last_day: str
    after_final: bool
    runs: tuple[str, ...]
    """Those that published it, newest first."""


def moved(changes: Iterable[Json], currency: str) -> list[Moved]:
    """The changes of one currency by service, the greatest first. First loads of a day moved nothing."""
    groups = defaultdict[tuple[str, str], list[Json]](list)
    for one in changes:
        if one["currency"] == currency and not one["is_first_load"]:
            groups[one["source"], one["service"]].append(one)
    found = [
        Moved(
            service=service or NO_VALUE,
            source=source,
            delta=sum((Decimal(one["delta"]) for one in rows), Decimal(0)),
            days=len({one["date"] for one in rows}),
            first_day=min(one["date"] for one in rows),
            last_day=max(one["date"] for one in rows),
            after_final=any(one["after_final"] for one in rows),
            runs=tuple(dict.fromkeys(one["pipeline_logging_id"] for one in rows)),
        )
        for (source, service), rows in groups.items()
    ]
    return sorted(found, key=lambda one: (-abs(one.delta), one.service))
