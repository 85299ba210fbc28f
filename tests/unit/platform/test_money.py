"""An amount in a message is zero only if it is zero."""

from decimal import Decimal

import pytest

from services.platform.money import decimals


@pytest.mark.parametrize(
    ("amount", "usual", "shown"),
    [
        (0, 6, "0.000000"),
        (12.5, 2, "12.50"),
        (0.005, 2, "0.0050"),
        (-0.0000001234, 6, "-0.00000012"),
        (5e-7, 6, "0.00000050"),
        (0.0000015, 6, "0.000002"),
        (1e-30, 6, f"0.{'0' * 29}10"),
        (Decimal("-0.004"), 2, "-0.0040"),
        (Decimal("0.000000001"), 2, "0.0000000010"),
    ],
)
def test_a_small_amount_has_two_digits(amount: float | Decimal, usual: int, shown: str) -> None:
    assert f"{amount:,.{decimals(amount, usual)}f}" == shown
