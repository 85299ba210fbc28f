"""Answers: their order, sums and pages; coverage; the cache; invoices beside entered amounts."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.costs.answer import decimal_text, to_answer
from services.executor.costs.cache import AnswerCache, Seen
from services.executor.costs.coverage import CountedAs, Coverage, KnownDay, coverage, versions
from services.executor.costs.dimensions import read_group_by
from services.executor.costs.invoices import EnteredAmount, InvoiceSums, compare, month_end, read_invoice_question
from services.executor.costs.pages import cut
from services.executor.costs.question import Question
from services.executor.records import Period
from services.platform.errors import InvalidArgument

DAY = date(2025, 11, 17)
NOON = datetime(2025, 11, 18, 12, tzinfo=UTC)
NUMERIC = st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**20), max_value=10**20)


@given(NUMERIC)
def test_an_amount_s_text_is_exact_and_as_short_as_can_be(amount: Decimal) -> None:
    text = decimal_text(amount)
    assert Decimal(text) == amount
    assert "E" not in text
    assert text == "0" or not text.endswith(".")
    assert "." not in text or not text.endswith("0")


@pytest.mark.parametrize(
    ("amount", "text"), [("0", "0"), ("-0.000", "0"), ("100", "100"), ("-1.50", "-1.5"), ("1E+3", "1000"), ("1E-9", "0.000000001")]
)
def test_amounts_are_written_without_exponent(amount: str, text: str) -> None:
    assert decimal_text(Decimal(amount)) == text


def test_an_answer_is_in_order_and_its_sums_are_by_currency() -> None:
    asked = Question(first=DAY, last=DAY, group_by=read_group_by(["service"]), top=2)

    def row(currency: str, value: str, amount: str, *, is_rest: bool = False) -> dict[str, Any]:
        return {"period": "", "currency": currency, "is_rest": is_rest, "key_0": value, "amount": Decimal(amount), "group_count": 1}

    answer = to_answer(
        asked,
        [row("USD", "", "99", is_rest=True), row("USD", "b", "5"), row("USD", "a", "5"), row("EUR", "a", "1.1"), row("USD", "c", "7")],
    )
    assert [(one.currency, one.values, one.is_rest) for one in answer.rows] == [
        ("EUR", ("a",), False),
        ("USD", ("c",), False),
        ("USD", ("a",), False),
        ("USD", ("b",), False),
        ("USD", (), True),
    ]
    assert answer.totals == {"EUR": Decimal("1.1"), "USD": Decimal(116)}


@given(st.lists(st.integers()), st.integers(1, 7))
def test_pages_have_every_row_once(rows: list[int], size: int) -> None:
    found, token = list[int](), ""
    while True:
        page = cut(rows, size=size, token=token, about="this")
        found += page.rows
        token = page.next_token
        if not token:
            break
        with pytest.raises(InvalidArgument, match="Begin again"):
            cut(rows, size=size, token=token, about="that")
        with pytest.raises(InvalidArgument, match="Begin again"):
            cut([*rows, 1], size=size, token=token, about="this")
    assert found == rows


@pytest.mark.parametrize("token", ["x", "[1]", '[0, "a"]', '["1", 2]', "null", "é"])
def test_a_token_that_is_not_ours_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument, match=r"page_token"):
        cut([1, 2], size=1, token=token, about="")


def ledger_day(day: date, state: CountedAs = CountedAs.OPEN, source: str = "gcp", version: int = 1, focus_version: int = 1) -> KnownDay:
    return KnownDay(source=source, day=day, version=version, focus_version=focus_version, state=state, last_loaded_at=NOON)


def days(first: int, last: int) -> Period:
    return Period(first=DAY.replace(day=first), last=DAY.replace(day=last))


def test_a_day_counts_once_with_its_least_settled_source() -> None:
    known = [
        ledger_day(DAY.replace(day=3), CountedAs.FINAL),
        ledger_day(DAY.replace(day=3), CountedAs.SETTLING, source="aws"),
        ledger_day(DAY.replace(day=4), CountedAs.FINAL),
        ledger_day(DAY.replace(day=4), CountedAs.OPEN, source="aws", version=2),
        ledger_day(DAY.replace(day=6), CountedAs.FINAL),
    ]
    found = coverage(known, days(1, 8), today=DAY.replace(day=7))
    # 1, 2: before all; 3: settling; 4: open; 5: a hole of both; 6: a hole of aws; 7, 8: not over.
    assert found.states == {CountedAs.OPEN: 3, CountedAs.SETTLING: 1, CountedAs.FINAL: 0, CountedAs.UNKNOWN: 2}
    assert found.holes == (DAY.replace(day=5), DAY.replace(day=6))
    assert (found.behind, found.as_of) == (1, NOON)
    aws, gcp = found.sources
    assert (gcp.holes, aws.holes) == ((DAY.replace(day=5),), (DAY.replace(day=5), DAY.replace(day=6)))
    assert (gcp.states[CountedAs.FINAL], aws.first_day) == (3, DAY.replace(day=3))


ledgers = st.lists(
    st.builds(
        ledger_day,
        day=st.integers(0, 40).map(lambda offset: DAY + timedelta(days=offset)),
        state=st.sampled_from(CountedAs),
        source=st.sampled_from(("gcp", "aws")),
    ),
    unique_by=lambda one: (one.source, one.day),
)


@given(ledgers, st.integers(-5, 45), st.integers(0, 50), st.integers(-5, 60))
def test_each_day_of_the_range_is_counted_exactly_once(known: list[KnownDay], first: int, length: int, today: int) -> None:
    period = Period(first=DAY + timedelta(days=first), last=DAY + timedelta(days=first + length))
    found: Coverage = coverage(known, period, DAY + timedelta(days=today))
    assert sum(found.states.values()) + len(found.holes) == length + 1
    assert all(DAY <= hole < DAY + timedelta(days=today) for hole in found.holes)
    inside = [one for one in known if period.first <= one.day <= period.last]
    assert versions(known, period) == versions(reversed(inside), period)
    if inside:
        moved = [*(one for one in known if one is not inside[0]), replace(inside[0], focus_version=2)]
        assert versions(moved, period) != versions(known, period) != ""


def seen(focus: int, days: int, *versions: int) -> Seen:
    return Seen(tables=(NOON + timedelta(seconds=focus), NOON + timedelta(seconds=days)), versions=versions)


def test_an_answer_is_right_until_one_of_its_days_changes() -> None:
    kept = seen(1, 1, 5)
    assert kept.is_as(seen(1, 1, 5))
    assert kept.is_as(seen(2, 2, 5)), "another day was published"
    assert not kept.is_as(seen(2, 2, 6))
    assert not kept.is_as(seen(2, 1, 5)), "rows have changed, and the ledger does not say which"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60))), st.integers(0, 5))
def test_the_cache_keeps_to_its_bounds(puts: list[tuple[int, int]], most: int) -> None:
    cache: AnswerCache[int, int] = AnswerCache(most_entries=most, most_bytes=100, seconds=10, monotonic=lambda: 0.0)
    for key, size in puts:
        cache.put(key, size, seen(1, 1), size=size)
        kept = [one for one in range(10) if cache.get(one) is not None]
        assert len(kept) <= most
        assert cache.bytes_kept <= 100
        assert cache.bytes_kept == sum(one.size for one in map(cache.get, kept) if one is not None)
        assert (cache.get(key) is not None) == (size <= 25 and most > 0)


def test_what_is_kept_expires_and_the_least_used_goes_first() -> None:
    now = [0.0]
    cache: AnswerCache[str, int] = AnswerCache(most_entries=2, most_bytes=100, seconds=10, monotonic=lambda: now[0])
    cache.put("a", 1, seen(1, 1), size=1)
    cache.put("b", 2, seen(1, 1), size=1)
    kept = cache.get("a")
    assert kept is not None
    cache.put("c", 3, seen(1, 1), size=1)
    assert (cache.get("b"), kept.value) == (None, 1)
    now[0] = 5
    cache.confirm("a", kept, seen(2, 2))
    now[0] = 10
    assert cache.get("a") is None, "to be confirmed does not make it younger"


def sums(account: str, month: str = "2025-11", total: str = "10") -> InvoiceSums:
    none = dict.fromkeys(("charges", "credits", "taxes", "adjustments", "rounding", "used_in_other_months"), Decimal())
    return InvoiceSums(invoice_month=month, provider="p", billing_account_id=account, currency="USD", total=Decimal(total), **none)


def entered(account: str, amount: str | None, month: str = "2025-11") -> EnteredAmount:
    value = None if amount is None else Decimal(amount)
    return EnteredAmount(
        invoice_month=month, billing_account_id=account, currency="USD", amount=value, entered_by_user_id=None, entered_at=NOON
    )


@pytest.mark.parametrize(
    ("amount", "agrees"), [("10.01", True), ("9.99", True), ("10.011", False), ("9.98", False), ("-10", False), (None, False)]
)
def test_an_invoice_agrees_within_a_cent(amount: str | None, agrees: bool) -> None:
    asked = read_invoice_question(start_month="2025-11", end_month="2025-11", billing_account_id="", used_from="")
    [one], unmatched = compare(asked, [sums("A")], [entered("A", amount)])
    assert (one.agrees, unmatched) == (agrees, ())


def test_entered_amounts_without_an_invoice_are_named_if_they_were_asked_for() -> None:
    amounts = [entered("A", "1"), entered("B", "1"), entered("B", "1", "2025-12"), entered("C", None)]
    asked = read_invoice_question(start_month="2025-10", end_month="2025-11", billing_account_id="", used_from="")
    assert [one.key for one in compare(asked, [sums("A")], amounts)[1]] == [("2025-11", "B", "USD")]
    only_a = read_invoice_question(start_month="2025-10", end_month="2025-11", billing_account_id="A", used_from="")
    assert compare(only_a, [sums("A")], amounts)[1] == ()


@pytest.mark.parametrize(("month", "last"), [("2024-02", 29), ("2025-02", 28), ("2025-12", 31), ("2025-04", 30)])
def test_a_month_ends_on_its_last_day(month: str, last: int) -> None:
    first = date.fromisoformat(f"{month}-01")
    assert month_end(first) == first.replace(day=last)
    asked = read_invoice_question(start_month=month, end_month=month, billing_account_id="", used_from="")
    assert asked.read.last == first.replace(day=last) + timedelta(days=1)
    assert asked.read.first.year == 2000
