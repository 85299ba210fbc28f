"""Amounts of money in messages. Pure."""

from decimal import Decimal


def decimals(amount: float | Decimal, usual: int = 2) -> int:
    """How many decimals to show: the usual number or, where they would all be 0 and the amount is not, as many as two digits need."""
    exact = amount if isinstance(amount, Decimal) else Decimal(repr(float(amount)))
    if not exact.is_finite() or not exact or round(exact, usual):
        return usual
    return 1 - exact.adjusted()
