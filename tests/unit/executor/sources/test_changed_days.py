"""Which days a run for changed days takes."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from services.executor.ledger.days import Ledger, LedgerDay
from services.executor.ledger.store import PublishedDay
from services.executor.sources.changed_days import MOST_DAYS, ChangedRequest, Compared, HeldDay, Plan, compare, plan

TODAY = date(2025, 11, 20)
MARK = datetime(2025, 11, 20, 12, tzinfo=UTC)
BACK = st.integers(0, 80)


def day(back: int) -> date:
    return TODAY - timedelta(days=back)


def known(back: int, *, exported_to: datetime | None = MARK, focus: int = 1, is_followed: bool = True) -> LedgerDay:
    return LedgerDay(
        usage_date=day(back),
        row_count=1,
        sizes={},
        changed_at=MARK,
        version=1,
        source_version=1,
        focus_version=focus,
        state="OPEN",
        source_table="t",
        source_created_at=None,
        exported_to=exported_to,
        is_followed=is_followed,
    )


def request(*days: LedgerDay, history: int = 3) -> ChangedRequest:
    ledger = Ledger(days={one.usage_date: one for one in days}, watermarks={})
    return ChangedRequest(ledger=ledger, published={}, today=TODAY, history_days=history)


def test_days_without_new_rows_are_left() -> None:
    """The rows at the watermark are read again to see that they are there; they are no news."""
    assert plan(request(known(0), known(1), known(2)), {day(0): MARK}, watermark=MARK).days == []


def test_new_rows_of_a_day_are_a_tail_from_what_is_published_of_it() -> None:
    """A day that was loaded by name may be ahead of the watermark."""
    later = MARK + timedelta(hours=1)
    arrived = {day(0): later, day(1): later, day(2): later + timedelta(hours=1)}
    found = plan(request(known(0), known(1, exported_to=later), known(2, exported_to=later)), arrived, watermark=MARK)
    assert found == Plan(whole=(), tails={day(0): MARK, day(2): later}, is_complete=True)


def test_holes_come_first_and_are_read_as_a_whole() -> None:
    later = MARK + timedelta(hours=1)
    found = plan(request(known(1), known(4)), {day(1): later}, watermark=MARK)
    assert (found.whole, found.tails) == ((day(3), day(2), day(0)), {day(1): MARK})
    by_name = plan(request(known(0), known(1), known(2, is_followed=False)), {}, watermark=MARK)
    assert by_name.whole == (day(2),)


def test_a_day_whose_focus_rows_are_older_is_taken_without_new_rows() -> None:
    assert plan(request(known(0, focus=0), known(1), known(2)), {}, watermark=MARK).tails == {day(0): MARK}


def test_a_day_that_another_table_is_read_for_is_read_as_a_whole() -> None:
    assert plan(request(known(0), known(1), known(2)), {}, watermark=MARK, replaced=frozenset({day(1)})).whole == (day(1),)


@given(followed=st.sets(BACK, max_size=60), arrived=st.sets(BACK, max_size=60), history=st.integers(1, 80))
def test_run_after_run_takes_everything(followed: set[int], arrived: set[int], history: int) -> None:
    """At most 31 days a run, none twice; the watermark moves when no day is left that it would pass, and then nothing is."""
    later = MARK + timedelta(hours=1)
    news = {day(back): later for back in arrived}
    asked = request(*(known(back) for back in followed), history=history)
    due = {day(back) for back in range(max([history - 1, *followed]) + 1) if back not in followed} | {
        day(back) for back in followed & arrived
    }
    taken = set[date]()
    for _ in range(5):
        found = plan(asked, news, watermark=MARK)
        assert len(found.days) <= MOST_DAYS
        assert taken.isdisjoint(found.days)
        assert set(found.whole).isdisjoint(found.tails)
        taken.update(found.days)
        if found.is_complete:
            assert {day(back) for back in followed & arrived} <= taken
        read = {one: replace(known(0, exported_to=later), usage_date=one) for one in found.days}
        asked = replace(asked, ledger=Ledger(days={**asked.ledger.days, **read}, watermarks={}))
    assert taken == due


def held(rows: int, **sizes: float) -> HeldDay:
    by_currency = dict[str | None, float]()
    by_currency.update(sizes)
    return HeldDay(row_count=rows, sizes=by_currency)


def test_a_day_stays_if_a_new_export_has_less_than_half_of_it() -> None:
    """In rows, or in the cost of one currency; in each of the tables that it might be read from."""
    published = PublishedDay(row_count=10, sizes={"USD": Decimal(100), "EUR": Decimal(2)})
    for less in (held(4, USD=100.0, EUR=2.0), held(10, USD=100.0, EUR=0.9), held(10, USD=100.0)):
        assert compare(published, [less]) is Compared.MUCH_LESS
        assert compare(published, [less, held(5, USD=50.0, EUR=1.0)]) is Compared.OTHER
    assert compare(published, []) is Compared.MUCH_LESS


def test_a_day_that_adds_up_to_the_same_is_the_same() -> None:
    published = PublishedDay(row_count=3, sizes={"USD": Decimal("0.3")})
    assert compare(published, [held(3, USD=0.1 + 0.2)]) is Compared.SAME
    assert compare(published, [held(4, USD=0.3)]) is Compared.OTHER
    assert compare(published, [held(3, USD=0.31)]) is Compared.OTHER
    assert compare(published, [held(3, USD=0.3, EUR=0.5)]) is Compared.OTHER
    assert compare(None, []) is Compared.SAME
    assert compare(None, [held(1, USD=0.0)]) is Compared.OTHER
