"""Which changes of published costs are worth a message."""

from datetime import date
from decimal import Decimal

import pytest

from services.executor.ledger.moves import CostMove, MoveLimits

DAY = date(2025, 11, 17)


def move(before: str, after: str, *, was_final: bool = False) -> CostMove:
    return CostMove(usage_date=DAY, currency="USD", before=Decimal(before), after=Decimal(after), was_final=was_final)


@pytest.mark.parametrize(
    ("amount", "share", "one", "is_over"),
    [
        ("10", None, move("100", "110"), False),
        ("10", None, move("100", "110.01"), True),
        ("10", None, move("100", "89.99"), True),
        (None, "0.1", move("100", "110"), False),
        (None, "0.1", move("100", "110.01"), True),
        (None, "0.1", move("-100", "-111"), True),
        (None, "0", move("100", "100"), False),
        (None, "0.1", move("0", "0.01"), True),
        ("10", "0.5", move("100", "120"), True),
        ("1000", "0.5", move("100", "120"), False),
        ("1000", None, move("100", "100.01", was_final=True), True),
    ],
)
def test_one_that_is_larger_than_a_limit_or_of_a_final_day(amount: str | None, share: str | None, one: CostMove, is_over: bool) -> None:
    limits = MoveLimits(amount=Decimal(amount) if amount else None, share=Decimal(share) if share else None)
    assert limits.over([one]) == ([one] if is_over else [])


def test_it_is_reported_in_money() -> None:
    assert move("100", "89.5").text == "2025-11-17 -10.50 USD to 89.50"
    assert move("1", "2", was_final=True).text == "2025-11-17 +1.00 USD to 2.00, although the day was final"
