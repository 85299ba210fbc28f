"""By how much a publish has moved the cost of days that were published before, and which of these moves are worth a message."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final, Self

from services.platform.money import decimals

COST_MOVES: Final = "ARRAY<STRUCT<usage_date DATE, currency STRING, before NUMERIC, after NUMERIC, was_final BOOL>>"
"""GoogleSQL type of a publish's moves; the fields of CostMove."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CostMove:
    """The change of one day's net cost in one currency."""

    usage_date: date
    currency: str | None
    before: Decimal
    after: Decimal
    was_final: bool
    """The day had been FINAL."""

    @property
    def delta(self) -> Decimal:
        """What was added, in the day's currency."""
        return self.after - self.before

    @property
    def text(self) -> str:
        """For people."""
        after_final = ", although the day was final" if self.was_final else ""
        delta, after = (f"{one:{sign}.{decimals(one)}f}" for one, sign in ((self.delta, "+"), (self.after, "")))
        return f"{self.usage_date} {delta} {self.currency or ''}".rstrip() + f" to {after}{after_final}"

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self:
        """From a step's output of type COST_MOVES."""
        return cls(**entry)


@dataclass(frozen=True, kw_only=True, slots=True)
class MoveLimits:
    """From which size on a move is worth a message."""

    amount: Decimal | None
    """In the day's currency, in either direction; None: no amount is enough."""
    share: Decimal | None
    """As a part of what the day cost before, in either direction; None: no share is enough."""

    def over(self, moves: Iterable[CostMove]) -> list[CostMove]:
        """The moves that are larger than one of the limits, and those of days that were final, however small."""
        return [move for move in moves if move.was_final or self._is_over(move)]

    def _is_over(self, move: CostMove) -> bool:
        size = abs(move.delta)
        over_amount = self.amount is not None and size > self.amount
        return over_amount or (self.share is not None and size > self.share * abs(move.before) and size > 0)
