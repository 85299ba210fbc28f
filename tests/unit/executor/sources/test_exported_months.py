"""Which billing periods a run of exported files looks at."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.ledger.exports import KnownExport
from services.executor.sources.exported_months import QUIET, ExportsRequest, end_of, months_before

SOURCE = "AWS/bucket/a"
SEP, OCT, NOV = date(2025, 9, 1), date(2025, 10, 1), date(2025, 11, 1)


def known(month: date, exported_at: datetime) -> dict[tuple[str, date], KnownExport]:
    one = KnownExport(
        source_id=SOURCE,
        month=month,
        manifest_key="m",
        manifest_etag="e",
        manifest_id="i",
        exported_at=exported_at,
        version=1,
        days=(),
        row_count=1,
    )
    return {(SOURCE, month): one}


def looked_at(
    now: datetime, *, history: int = 3, there: dict[tuple[str, date], KnownExport] | None = None, month: date | None = None
) -> list[date]:
    return ExportsRequest(month=month, known=there or {}, now=now, history_months=history).months(SOURCE)


@pytest.mark.parametrize("hour", [0, 23])
def test_on_the_first_the_last_month_is_looked_at_too(hour: int) -> None:
    assert looked_at(datetime(2025, 11, 1, hour, tzinfo=UTC), history=1) == [OCT, NOV]


def test_an_older_month_is_looked_at_until_it_is_quiet() -> None:
    now = datetime(2025, 11, 20, tzinfo=UTC)
    assert looked_at(now) == [SEP, OCT, NOV]
    assert looked_at(now, there=known(SEP, now - QUIET)) == [OCT, NOV]
    assert looked_at(now, there=known(SEP, now - QUIET + timedelta(seconds=1))) == [SEP, OCT, NOV]
    assert looked_at(now, there=known(OCT, now - QUIET)) == [SEP, OCT, NOV], "the last month is always looked at"


def test_a_named_month_is_looked_at_whatever_is_known() -> None:
    now = datetime(2025, 11, 20, tzinfo=UTC)
    assert looked_at(now, month=SEP, there=known(SEP, now - 2 * QUIET)) == [SEP]


@given(st.dates(min_value=date(2000, 2, 1), max_value=date(2099, 11, 30)), st.integers(0, 400))
def test_months_are_counted(day: date, count: int) -> None:
    month = day.replace(day=1)
    assert months_before(months_before(month, count), -count) == month
    assert end_of(month) + timedelta(days=1) == months_before(month, -1)
    assert end_of(month).replace(day=1) == month
