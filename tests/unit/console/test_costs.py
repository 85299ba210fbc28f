"""What the Costs screen shows, from answers of the API."""

from datetime import date
from decimal import Decimal

import pytest

from console.screens.costs.figures import chart_of, currency_of, moved, periods_of, states_of
from console.screens.costs.question import question_of, ranges_of
from console.web.wording import amount

TODAY = date(2026, 11, 26)


def cost(period: str, service: str | None, amount: str, currency: str = "USD") -> dict[str, object]:
    group = {} if service is None else {"service": service}
    return {"period": period, "currency": currency, "group": group, "cost": amount, "is_rest": service is None, "groups": 1}


def change(service: str, day: str, delta: str, *, run: str = "r1", first: bool = False, final: bool = False) -> dict[str, object]:
    return {
        "source": "gcp",
        "date": day,
        "service": service,
        "currency": "USD",
        "delta": delta,
        "is_first_load": first,
        "after_final": final,
        "pipeline_logging_id": run,
    }


def test_a_bar_has_the_greatest_group_first_the_rest_last_and_no_gaps() -> None:
    rows = [cost("2026-11-01", "A", "1.1"), cost("2026-11-03", "A", "0.2"), cost("2026-11-03", "", "5"), cost("2026-11-03", None, "99")]
    chart = chart_of(rows, currency="USD", group="service", periods=periods_of("2026-11-01", "2026-11-03", "day"))

    assert [(one.name, one.amounts) for one in chart.series] == [
        ("(none)", (Decimal(0), Decimal(0), Decimal(5))),
        ("A", (Decimal("1.1"), Decimal(0), Decimal("0.2"))),
        ("all others", (Decimal(0), Decimal(0), Decimal(99))),
    ]
    assert chart.totals == (Decimal("1.1"), Decimal(0), Decimal("104.2"))


def test_more_than_a_year_of_bars_are_months() -> None:
    def asked(start: str) -> str:
        return question_of({"start": start, "end": "2026-11-25", "granularity": "day"}, TODAY).granularity

    assert [asked(start) for start in ("2026-11-01", "2025-11-01", "2023-11-26")] == ["day", "day", "month"]


def test_currencies_are_never_added() -> None:
    rows = [cost("2026-11-01", "A", "1"), cost("2026-11-01", "A", "7", "EUR")]
    chart = chart_of(rows, currency="EUR", group="service", periods=["2026-11-01"])
    totals = [{"currency": "USD", "amount": "1"}, {"currency": "EUR", "amount": "7"}]

    assert chart.totals == (Decimal(7),)
    assert (currency_of(totals, ""), currency_of(totals, "USD"), currency_of(totals, "GBP"), currency_of([], "")) == (
        "EUR",
        "USD",
        "EUR",
        "",
    )


def test_a_month_is_as_settled_as_its_least_settled_day_and_missing_if_one_is() -> None:
    days = [{"date": f"2026-10-{day:02}", "state": state} for day, state in ((1, "FINAL"), (2, "SETTLING"), (3, "FINAL"))]
    periods = ["2026-09", "2026-10", "2026-11"]

    assert states_of(days, periods, []) == {"2026-10": "SETTLING"}
    assert states_of(days, periods, ["2026-10-04"]) == {"2026-10": "MISSING"}
    assert states_of(days, ["2026-10-02"], ["2026-10-02"]) == {"2026-10-02": "MISSING"}


def test_what_has_moved_is_summed_by_service_without_first_loads() -> None:
    rows = [
        change("A", "2026-10-02", "-3", run="r2", final=True),
        change("A", "2026-10-01", "1.5"),
        change("B", "2026-10-01", "0.5"),
        change("C", "2026-10-01", "100", first=True),
    ]
    found = moved(rows, "USD")

    assert [(one.service, one.delta, one.days, one.first_day, one.last_day, one.after_final, one.runs) for one in found] == [
        ("A", Decimal("-1.5"), 2, "2026-10-01", "2026-10-02", True, ("r2", "r1")),
        ("B", Decimal("0.5"), 1, "2026-10-01", "2026-10-01", False, ("r1",)),
    ]


def test_the_usual_question_is_of_thirty_days_by_service() -> None:
    question = question_of({}, TODAY)

    assert (question.start, question.end, question.group, question.granularity) == ("2026-10-27", "2026-11-25", "service", "day")
    assert question_of({"start": "2025-01-01", "end": "nonsense", "group": "tag", "tag": "team"}, TODAY).costs["group_by"] == "tag:team"
    assert question_of({"start": "2025-01-01"}, TODAY).granularity == "month"


@pytest.mark.parametrize("today", [date(2028, 2, 29), date(2026, 1, 1), date(2026, 12, 31), TODAY])
def test_every_range_is_one_that_the_api_takes(today: date) -> None:
    for _name, start, end in ranges_of(today):
        days = (date.fromisoformat(end) - date.fromisoformat(start)).days + 1
        assert 1 <= days <= 1_100


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1234.5", "1\u202f234.50\u202fEUR"),
        ("-0.00042", "\N{MINUS SIGN}0.00042\u202fEUR"),
        ("0", "0.00\u202fEUR"),
        ("0.004", "0.0040\u202fEUR"),
    ],
)
def test_amounts_are_written_exactly(value: str, text: str) -> None:
    assert amount(value, "EUR") == text


def test_a_change_has_a_sign() -> None:
    assert amount(Decimal(3), "USD", True) == "+3.00\u202fUSD"
