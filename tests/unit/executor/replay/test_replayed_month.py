"""The month that is replayed is what Google delivers, and its model is what one gets by working it out from nothing."""

from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from tests.support.executor.replay.charge import INVOICE, Charge
from tests.support.executor.replay.model import ExportModel, contents, groups_of
from tests.support.executor.replay.month import DAY, HOUR, KEPT, LAG, Month, Scale, replayed_month
from tests.support.executor.replay.timeline import SOAK, Timeline

SEEDS = (1, 2, 3)


@pytest.fixture(params=SEEDS)
def month(request: pytest.FixtureRequest) -> Month:
    return replayed_month(seed=request.param)


def test_a_seed_gives_the_same_month_again(month: Month) -> None:
    assert month in {replayed_month(seed=seed) for seed in SEEDS}
    assert len({charge.key for charge in month.charges}) == len(month.charges)


def test_the_rows_of_an_append_have_one_export_time_and_it_grows(month: Month) -> None:
    appends = defaultdict(set)
    for charge in month.charges:
        appends[charge.arrived].add(charge.export_time)
        assert charge.arrived - charge.export_time == LAG
    assert all(len(times) == 1 for times in appends.values())
    times = [times.pop() for _, times in sorted(appends.items())]
    assert times == sorted(set(times))
    assert any(charge.export_time.date() < charge.arrived.date() for charge in month.charges), "none arrives just after midnight"


def test_usage_arrives_over_six_days(month: Month) -> None:
    usage = [one for one in month.charges if one.cost_type == "regular" and one.key[-1].isdigit()]
    waits = [one.arrived - one.usage_start for one in usage]
    assert min(waits) >= HOUR
    assert max(waits) <= 6 * DAY
    assert max(waits) > 4 * DAY
    assert len({one.arrived for one in usage if one.day == month.first}) > 1


def test_a_restated_credit_is_the_row_taken_back_and_the_row_again(month: Month) -> None:
    by_key = {charge.key: charge for charge in month.charges}
    restated = [one for one in month.charges if one.key.endswith("+")]
    assert restated
    for new in restated:
        old, back = by_key[new.key[:-1]], by_key[f"{new.key[:-1]}-"]
        assert groups_of([old, back])[old.service, old.currency].net == 0
        assert (new.cost, new.day, new.invoice_month) == (old.cost, old.day, old.invoice_month)
        assert new.credits != old.credits
        assert old.arrived < back.arrived == new.arrived


def test_the_invoice_is_closed_in_the_days_after_its_month(month: Month) -> None:
    for first in (month.first, month.after):
        closing = [one for one in month.charges if one.service == INVOICE and first <= one.arrived.date() < first + 5 * DAY]
        assert Counter(one.cost_type for one in closing) == {"tax": 1, "rounding_error": 1}
        assert {one.invoice_month for one in closing} == {f"{first - DAY:%Y%m}"}
        late = [one for one in month.charges if one.cost_type == "adjustment" and first <= one.arrived.date() < first + 5 * DAY]
        assert late
        assert all(one.day < first and one.invoice_month == f"{first - DAY:%Y%m}" for one in late)


def test_there_are_two_currencies_and_a_day_without_usage_and_one_that_is_late(month: Month) -> None:
    by_day = defaultdict(list)
    for charge in month.charges:
        by_day[charge.day].append(charge)
    assert any({"USD", "EUR"} == {one.currency for one in charges} for charges in by_day.values())
    assert month.first + 13 * DAY not in by_day
    assert min(one.arrived.date() for one in by_day[month.first + 9 * DAY]) >= month.first + 11 * DAY
    assert min(by_day) < month.first - KEPT * DAY, "nothing is older than what a first run loads"


def test_the_timeline_has_what_a_month_may_bring(month: Month) -> None:
    for timeline in (Timeline.of(month, every_hour=True), Timeline.of(month, every_hour=False)):
        runs = timeline.runs
        assert list(runs) == sorted(runs)
        pauses = [late - early for early, late in pairwise(run for run in runs if run < month.start + 12 * DAY)]
        assert max(pauses) > 2.5 * DAY
        assert any(timeline.is_refused(run) for run in runs)
        assert [one.since is None for one in timeline.recreations] == [True, False]
        assert runs[-1] > month.end
    assert len(Timeline.of(replayed_month(scale=SOAK), every_hour=True).runs) > 720


@pytest.mark.parametrize("scale", [Scale(), Scale(rows_a_day=3, append_hours=range(24))])
def test_the_model_holds_what_is_worked_out_from_nothing(scale: Scale) -> None:
    month = replayed_month(seed=4, scale=scale)
    timeline = Timeline.of(month, every_hour=False)
    for runs in (timeline.runs, timeline.runs[3::4], timeline.runs[-1:]):
        model = ExportModel(month, timeline.recreations)
        for moment in runs:
            before = {day: model.groups(day) for day in model.days}
            changed = model.advance(moment)
            expected = defaultdict[date, list[Charge]](list)
            for charge in contents(month, timeline.recreations, moment):
                expected[charge.day].append(charge)
            assert {day: model.groups(day) for day in model.days} == {day: groups_of(some) for day, some in expected.items()}
            assert {day for day in {*before, *model.days} if before.get(day) != model.groups(day)} - changed <= set()
            assert model.greatest_export_time() == max(one.export_time for some in expected.values() for one in some)


def test_an_export_made_anew_has_the_same_rows_at_another_time() -> None:
    month = replayed_month()
    timeline = Timeline.of(month, every_hour=False)
    whole, since = timeline.recreations
    before, after = (contents(month, timeline.recreations, moment) for moment in (whole.at - timedelta(seconds=1), whole.at))
    assert Counter(one.key for one in before) == Counter(one.key for one in after)
    assert {one.export_time for one in after} == {whole.at - LAG}
    assert sum((one.net for one in before), Decimal(0)) == sum((one.net for one in after), Decimal(0))
    assert min(one.day for one in contents(month, timeline.recreations, since.at)) == month.first
