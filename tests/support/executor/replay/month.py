"""A month of a billing export as Google delivers it, from a seed: which row is written when.

- The rows of a usage day arrive over six days, in appends; all rows of an append have one export_time, which grows from append to append.
- A restated credit is two new rows some days later: the row negated, and the row with other credits. Nothing is ever changed in place.
- At the turn of a month the invoice of the month before is closed: taxes, a rounding, and adjustments of usage in that month.
- Five weeks after the end of the month, when its invoice is long out, one row of it is corrected.
- On some days there are rows in two currencies; on one day there is no usage; one day's rows arrive two days late, all of them.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from tests.support.executor.replay.charge import INVOICE, SERVICES, Charge, invoice_month

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LONGEST = 5 * DAY + 14 * HOUR
"""From a usage to its row being written; the append that has it follows within hours."""
LAG = timedelta(minutes=7)
"""From the export time of an append to its rows being there. An append shortly after midnight has the export time of the day before."""
KEPT = 31
"""Days that a tenant's first run loads."""
UNKEPT = 9
"""Days of history before these."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How much happens."""

    rows_a_day: int = 5
    append_hours: Sequence[int] = (0, 9, 17)
    """The hours of a UTC day at which Google appends; each append is there three minutes past the hour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Month:
    """All rows of a month, and of what is before it in the export."""

    first: date
    charges: tuple[Charge, ...]
    """In the order of arrival."""

    @property
    def start(self) -> datetime:
        """The beginning of the month in UTC."""
        return datetime.combine(self.first, time(), UTC)

    @property
    def after(self) -> date:
        """The first day of the next month."""
        return (self.first + 31 * DAY).replace(day=1)

    @property
    def end(self) -> datetime:
        """When the last row has arrived."""
        return self.charges[-1].arrived


def replayed_month(first: date = date(2026, 6, 1), *, seed: int = 1, scale: Scale | None = None) -> Month:
    """The month that begins on `first`, with the days before it that a first run may load, and older ones."""
    made = _Maker(first=first, random=Random(seed), scale=scale or Scale())
    return Month(first=first, charges=tuple(sorted(made.charges(), key=lambda one: (one.arrived, one.key))))


class _Maker:
    def __init__(self, *, first: date, random: Random, scale: Scale) -> None:
        self._first, self._random, self._scale = first, random, scale
        self._numbers = itertools.count(1)

    def charges(self) -> Iterator[Charge]:
        after = (self._first + 31 * DAY).replace(day=1)
        day = self._first - (KEPT + UNKEPT) * DAY
        while day < after:
            for charge in self._usage(day):
                yield charge
                yield from self._restated(charge)
            day += DAY
        yield from self._invoice(self._first)
        yield from self._invoice(after)
        yield self._corrected(self._first + 14 * DAY, written=datetime.combine(after + 36 * DAY, time(1), UTC))

    def _usage(self, day: date) -> Iterator[Charge]:
        late = 2 * DAY if day == self._first + 9 * DAY else timedelta()
        for _ in range(0 if day == self._first + 13 * DAY else self._scale.rows_a_day):
            start = datetime.combine(day, time(self._random.randrange(24)), UTC)
            cost = self._amount(40)
            wait = self._random.choices((8 * HOUR, 36 * HOUR, LONGEST), (6, 3, 1))[0]
            yield self._charge(
                start,
                written=start + HOUR + max(late, self._random.random() * (wait - HOUR)),
                service=self._random.choice(list(SERVICES)),
                currency="EUR" if day.day % 5 == 2 and self._random.random() < 0.5 else "USD",
                cost=cost,
                given=tuple(-(cost * share / 8).quantize(Decimal("1e-6")) for share in range(1, self._random.choice((1, 1, 2, 3)))),
            )

    def _restated(self, charge: Charge) -> Iterator[Charge]:
        if self._random.random() < 0.15:
            written = charge.arrived + self._random.uniform(1, 5) * DAY
            for mark, sign, given in (("-", -1, charge.credits), ("+", 1, (*charge.credits, -self._amount(1)))):
                export_time, arrived = self._append(written)
                credits_ = tuple(amount * sign for amount in given)
                yield replace(
                    charge, key=f"{charge.key}{mark}", cost=charge.cost * sign, credits=credits_, export_time=export_time, arrived=arrived
                )

    def _invoice(self, after: date) -> Iterator[Charge]:
        """What closes the invoice of the month before `after`, in the first days after it."""
        last = datetime.combine(after, time(5), UTC)  # ten in the evening in California: the last hour but one of its month is over
        for number, (kind, cost) in enumerate((("tax", self._amount(90)), ("rounding_error", Decimal("-0.000003")))):
            yield self._charge(last - 6 * HOUR, written=last + (20 + number) * HOUR, service=INVOICE, cost=cost, cost_type=kind)
        for back, days in ((4, 2.5), (12, 3.5)):
            yield self._corrected((last - back * DAY).date(), written=last + days * DAY)

    def _corrected(self, day: date, *, written: datetime) -> Charge:
        """An adjustment of usage on `day`, on the invoice of that day's month."""
        start = datetime.combine(day, time(11), UTC)
        return self._charge(start, written=written, service=next(iter(SERVICES)), cost=-self._amount(20), cost_type="adjustment")

    def _charge(
        self,
        start: datetime,
        *,
        written: datetime,
        service: str,
        cost: Decimal,
        currency: str = "USD",
        given: tuple[Decimal, ...] = (),
        cost_type: str = "regular",
    ) -> Charge:
        export_time, arrived = self._append(written)
        return Charge(
            key=f"{start:%m%d}-{next(self._numbers)}",
            usage_start=start,
            service=service,
            currency=currency,
            cost=cost,
            credits=given,
            cost_type=cost_type,
            invoice_month=invoice_month(start),
            export_time=export_time,
            arrived=arrived,
        )

    def _append(self, written: datetime) -> tuple[datetime, datetime]:
        """The export time and the arrival of the first append after `written`."""
        arrived = datetime.combine(written.date(), time(0, 3), UTC)
        while arrived.hour not in self._scale.append_hours or arrived < written:
            arrived += HOUR
        return arrived - LAG, arrived

    def _amount(self, most: int) -> Decimal:
        return Decimal(self._random.randrange(1, most * 10**6)).scaleb(-6)
