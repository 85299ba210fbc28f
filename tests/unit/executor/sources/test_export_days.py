"""Which of two exports is read for each day."""

import math
from datetime import date

import pytest

from services.executor.records import Period
from services.executor.sources.gcp.export_days import Days, Sizes, choose

OCTOBER = Period(first=date(2025, 10, 1), last=date(2025, 10, 4))
type Held = float | dict[str | None, float] | None


def days(*held: Held) -> Days:
    """What an export holds of October's days, a number in USD; None: no rows."""
    sizes = {day: one if isinstance(one, dict) else {"USD": one} for day, one in zip(OCTOBER.days, held, strict=True) if one is not None}
    return {day: {currency: float(size) for currency, size in one.items()} for day, one in sizes.items()}


ALL = "On no day does the detailed export have less than 99% of the standard one's cost, in any currency."
MIXED = "These days are read from the standard export, the others from the detailed one."
ONE = "The standard export is read."
LESS = "less than 99% of the standard one's cost in"


@pytest.mark.parametrize(
    ("standard", "detailed", "chosen", "reason"),
    [
        pytest.param(days(5, 5, 5, 5), days(5, 5, 5, 5), "DDDD", ALL, id="equal"),
        pytest.param(days(5, 5, 5, 5), days(5, 7, 5, 5), "DDDD", ALL, id="more"),
        pytest.param(days(20, 20, 20, 20), days(20, 20, 20, 19.9), "DDDD", ALL, id="late by half a hundredth"),
        pytest.param(days(20, 20, 20, 20), days(20, 20, 20, 19.7), "DDDS", f"{LESS} USD on 2025-10-04. {MIXED}", id="too late"),
        pytest.param(
            days(20, 20, 20, 20),
            days(None, 12, 20, 20),
            "SSDD",
            f"The detailed export has no rows on 2025-10-01, and {LESS} USD on 2025-10-02. {MIXED}",
            id="turned on at mid-day",
        ),
        pytest.param(days(5, 5, 5, 5), days(None, None, None, None), "SSSS", f"has no rows on 2025-10-01 to 2025-10-04. {ONE}", id="empty"),
        pytest.param(days(5, None, None, None), days(None, None, 5, None), "SDDD", f"no rows on 2025-10-01. {MIXED}", id="disjoint"),
        pytest.param(days(None, None, None, None), days(None, None, None, None), "DDDD", ALL, id="neither"),
        pytest.param(days(None, None, 5, 5), days(5, 5, 5, 5), "DDDD", ALL, id="only the detailed one at first"),
        pytest.param(days(5, 5, 5, 5), days(None, 5, None, 5), "SDSD", f"no rows on 2025-10-01, 2025-10-03. {MIXED}", id="gaps"),
        pytest.param(days(0, 5, 5, 5), days(None, 5, 5, 5), "SDDD", f"no rows on 2025-10-01. {MIXED}", id="rows that are free"),
        pytest.param(days(0, 5, 5, 5), days(0, 5, 5, 5), "DDDD", ALL, id="free in both"),
        pytest.param(
            days({"USD": 5, "JPY": 900}, {"USD": 5, "JPY": 900}, 5, 5),
            days({"JPY": 900}, {"USD": 5, "JPY": 900}, 5, 5),
            "SDDD",
            f"{LESS} USD on 2025-10-01. {MIXED}",
            id="a currency is gone beside a greater one",
        ),
        pytest.param(
            days({"USD": 5, "JPY": 900}, {None: 4}, 5, 5),
            days({"USD": 5, "JPY": 500}, {None: 2}, 5, 5),
            "SSDD",
            f"{LESS} JPY or no currency on 2025-10-01 to 2025-10-02. {MIXED}",
            id="short in one currency, and in none",
        ),
        pytest.param(days(5, 5, 5, 5), days({"USD": 5, "EUR": 1}, 5, 5, 5), "DDDD", ALL, id="a currency more"),
        pytest.param(days(math.nan, math.inf, 5, 5), days(math.nan, math.inf, math.nan, 5), "DDDD", ALL, id="no numbers"),
    ],
)
def test_each_day_is_read_from_the_export_that_has_it(standard: Days, detailed: Days, chosen: str, reason: str) -> None:
    choice = choose(standard=standard, detailed=detailed, period=OCTOBER)
    read = "".join(("D" if one.detailed else "S") * len(one.period.days) for one in choice.stretches)
    assert read == chosen
    assert [day for one in choice.stretches for day in one.period.days] == OCTOBER.days
    assert all(one.detailed is not after.detailed for one, after in zip(choice.stretches, choice.stretches[1:], strict=False))
    assert choice.reason.endswith(reason)


def test_days_that_are_many_are_not_all_named() -> None:
    month = Period(first=date(2025, 10, 1), last=date(2025, 10, 31))
    standard: Days = {day: {"USD": 1.0} for day in month.days}
    odd: dict[date, Sizes] = {day: {"USD": 1.0} for day in month.days if day.day % 2}
    assert "on 2025-10-02, 2025-10-04, 2025-10-06 and 12 more days." in choose(standard=standard, detailed=odd, period=month).reason
    odd |= {day: {"USD": 1.0} for day in month.days if day.day > 9}
    assert "2025-10-06 and 1 more day." in choose(standard=standard, detailed=odd, period=month).reason


def test_days_between_those_of_the_run_are_in_no_stretch() -> None:
    """They are published already: read once more, their cost would be doubled."""
    some = Period.of([date(2025, 10, 1), date(2025, 10, 4)])
    choice = choose(standard=days(5, 5, 5, 5), detailed=days(5, 5, 5, 5), period=some)
    assert [one.period.days for one in choice.stretches] == [some.days]
    mixed = choose(standard=days(5, 5, 5, 5), detailed=days(5, 5, 5, None), period=some)
    assert [(one.detailed, one.period.days) for one in mixed.stretches] == [(True, some.days[:1]), (False, some.days[1:])]
