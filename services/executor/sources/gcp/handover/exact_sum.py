"""The sum of a row's credits in GoogleSQL, rounded once, as `rows.flatten.credits_total` has it: SUM would round with every amount.

Two numbers are simply added. If there are more, each amount is cut into three whole numbers, which add up without rounding: the amount in
units of 2^-22, its rest in units of 2^-70, and the rest after that in units of 2^-118. After carrying, each of the lower two sums is at
least 0 and less than 2^48. If the higher two sums together fit into a double (53 bits), the lowest sum is added to this double, which
rounds once. If they need more bits, the lowest sum is beyond the last digit of the result. Then it only decides on which side of the middle
between two doubles the result is, and a quarter of a unit takes its place.
"""

from typing import Final

UNITS: Final = (2.0**22, 2.0**70, 2.0**118)
BASE: Final = 2**48
MOST: Final = 2.0**31
"""Amounts of this size, and those that have bits beyond the last unit, are refused: the query fails, and nothing was read."""
_REFUSED: Final = "ERROR('a credit is too large or too small for an exact sum')"


def exact_credits(credits_: str) -> str:
    """The sum of the amounts of the ARRAY `credits_`, 0.0 of none; a NULL amount adds nothing."""
    few = " + ".join(["0.0", *(f"IFNULL({credits_}[SAFE_OFFSET({place})].amount, 0.0)" for place in range(2))])
    return f"IF(ARRAY_LENGTH({credits_}) > 2, {_of_many(credits_)}, {few})"


def _of_many(credits_: str) -> str:
    first, second, third = (repr(unit) for unit in UNITS)
    high, base = "CAST(c.high AS FLOAT64)", repr(float(BASE))
    is_exact = f"ABS(c.amount) < {MOST!r} AND c.amount * {third} = TRUNC(c.amount * {third})"
    in_53_bits = f"(({high} * {base} + c.middle) * {base} + c.low) / {third}"
    in_more = f"({high} * {base} + (c.middle + IF(c.low > 0, 0.25, 0.0))) * {base} / {third}"
    steps = (
        f"IF({is_exact}, c.amount, {_REFUSED}) AS amount",
        f"c.amount, TRUNC(c.amount * {first}) AS high",
        f"c.high, c.amount - c.high / {first} AS rest",
        f"c.high, c.rest, TRUNC(c.rest * {second}) AS middle",
        f"c.high, c.middle, (c.rest - c.middle / {second}) * {third} AS low",
        ", ".join(f"IFNULL(SUM(CAST(c.{name} AS INT64)), 0) AS {name}" for name in ("high", "middle", "low")),
        f"c.high, {_carried('c.middle', 'c.low')} AS middle, {_rest('c.low')} AS low",
        f"{_carried('c.high', 'c.middle')} AS high, {_rest('c.middle')} AS middle, c.low",
        f"IF(c.high BETWEEN -32 AND 31, {in_53_bits}, IF(ABS(c.high) < {2**53}, {in_more}, {_REFUSED}))",
    )
    # Rows of two credits have no entries here: an emulator computes both sides of an IF.
    rows = f"UNNEST(IF(ARRAY_LENGTH({credits_}) > 2, {credits_}, [])) AS c WHERE c.amount IS NOT NULL"
    for place, step in enumerate(steps):
        rows = f"(SELECT {step} FROM {rows}{' AS c' if place else ''})"  # noqa: S608 - made of constants
    return rows


def _rest(number: str) -> str:
    return f"MOD(MOD({number}, {BASE}) + {BASE}, {BASE})"


def _carried(number: str, from_: str) -> str:
    return f"({number} + DIV(({from_} - {_rest(from_)}), {BASE}))"
