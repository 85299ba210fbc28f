"""An answer about costs: its rows in order, their sums, and pages of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from services.executor.costs.question import Question


@dataclass(frozen=True, kw_only=True, slots=True)
class CostRow:
    """One group in one period and currency."""

    period: str
    currency: str
    is_rest: bool
    values: tuple[str, ...]
    """One for each dimension; empty for the rest."""
    amount: Decimal
    groups: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """All rows, ordered by period, currency and falling cost; equal costs by their values. The rest is last."""

    rows: tuple[CostRow, ...]
    totals: Mapping[str, Decimal]
    """By currency, in the order of their names."""


def to_answer(question: Question, found: Iterable[Mapping[str, Any]]) -> Answer:
    """The answer, from the rows of `compose_question`'s query."""
    keys = [f"key_{place}" for place in range(len(question.group_by))]
    rows = [
        CostRow(
            period=row.get("period", ""),
            currency=row["currency"],
            is_rest=row.get("is_rest", False),
            values=() if row.get("is_rest") else tuple(row[key] for key in keys),
            amount=row["amount"],
            groups=row.get("group_count", 1),
        )
        for row in found
    ]
    rows.sort(key=lambda row: (row.period, row.currency, row.is_rest, -row.amount, row.values))
    totals = defaultdict[str, Decimal](Decimal)
    for row in rows:
        totals[row.currency] += row.amount
    return Answer(rows=tuple(rows), totals=dict(sorted(totals.items())))


def decimal_text(amount: Decimal) -> str:
    """An amount as it is written in answers: exact, without an exponent, without zeros at the end."""
    text = f"{amount:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"", "-0"} else text


def weight(rows: Sequence[CostRow]) -> int:
    """About how many bytes of memory rows take."""
    return sum(300 + len(row.period) + sum(60 + len(value) for value in row.values) for row in rows)
