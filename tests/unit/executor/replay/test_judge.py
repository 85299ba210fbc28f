"""The judge of a replay lets a publisher pass that does everything right, and names what another one does wrong."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.support.executor.replay.day_states import state_of
from tests.support.executor.replay.judge import AT_MOST, Judge, figures, money_of, net_by_currency
from tests.support.executor.replay.model import ExportModel, Groups, Sums
from tests.support.executor.replay.month import DAY, HOUR, KEPT, Month, replayed_month
from tests.support.executor.replay.published import Change, LedgerDay, Published
from tests.support.executor.replay.timeline import Timeline

EMPTY = Published(billing={}, focus={}, ledger={}, changes=[], sources=[])


@dataclass(kw_only=True)
class Perfect:
    """Publishes as the rules say, in memory."""

    model: ExportModel
    first: date
    state: Published = EMPTY

    def run(self, now: datetime) -> Published:
        days = [self.first + timedelta(days=number) for number in range((now.date() - self.first).days + 1)]
        wanted = [day for day in days if self._differs(day) or day not in self.state.ledger]
        self.publish(wanted[:AT_MOST], now)
        if len(wanted) <= AT_MOST and (greatest := self.model.greatest_export_time()):
            self.state = replace(self.state, sources=[{"source_created_at": now, "watermark": greatest}])
        return self.state

    def publish(self, days: Iterable[date], now: datetime) -> None:
        was = {day: row.changed_at for day, row in self.state.ledger.items()}
        for day in days:
            self._publish(day, was, now)
        changed = {day: row.changed_at for day, row in self.state.ledger.items()}
        states = {day: self._state(row, state_of(day, changed, now), now) for day, row in self.state.ledger.items()}
        self.state = replace(self.state, ledger={day: replace(row, state=states[day]) for day, row in self.state.ledger.items()})

    def _state(self, row: LedgerDay, due: str, now: datetime) -> str:
        return "FINAL" if row.state == "FINAL" and row.changed_at < now else due

    def _differs(self, day: date) -> bool:
        groups = self.model.groups(day)
        return bool(groups) and groups != self.state.billing.get(day, {})

    def _publish(self, day: date, was: Mapping[date, datetime], now: datetime) -> None:
        before, after = self.state.billing.get(day, {}), self.model.groups(day) or self.state.billing.get(day, {})
        old, new = money_of({day: before}), money_of({day: after})
        changes = [
            Change(
                day=day,
                service=service,
                currency=currency,
                before=old.get((day, service, currency), Decimal(0)),
                after=new.get((day, service, currency), Decimal(0)),
                delta=new.get((day, service, currency), Decimal(0)) - old.get((day, service, currency), Decimal(0)),
                is_first_load=day not in self.state.ledger,
                after_final=day in was and state_of(day, was, now) == "FINAL",
                changed_at=now,
            )
            for _, service, currency in sorted({*old, *new})
            if old.get((day, service, currency)) != new.get((day, service, currency))
        ]
        ledger = {**self.state.ledger, day: self._row(day, before, after, now)}
        self.state = Published(
            billing={**self.state.billing, day: after} if after else self.state.billing,
            focus={**self.state.focus, day: net_by_currency(after)} if after else self.state.focus,
            ledger=ledger,
            changes=[*self.state.changes, *changes],
            sources=self.state.sources,
        )

    def _row(self, day: date, before: Groups, after: Groups, now: datetime) -> LedgerDay:
        earlier = self.state.ledger.get(day)
        rows, sums = figures(after)
        moments = [one.exported_to for one in after.values()]
        return LedgerDay(
            row_count=rows,
            sums=sums,
            first_loaded_at=earlier.first_loaded_at if earlier else now,
            last_loaded_at=now,
            changed_at=earlier.changed_at if earlier and figures(before) == figures(after) else now,
            version=earlier.version + 1 if earlier else 1,
            focus_version=earlier.version + 1 if earlier else 1,
            state=earlier.state if earlier else "",
            exported_to=datetime.fromtimestamp(max(moments), now.tzinfo) if moments else None,
            is_followed=True,
        )


@pytest.fixture
def month() -> Month:
    return replayed_month(seed=5)


@pytest.fixture
def timeline(month: Month) -> Timeline:
    return Timeline.of(month, every_hour=False)


def test_a_perfect_publisher_passes(month: Month, timeline: Timeline) -> None:
    model = ExportModel(month, timeline.recreations)
    judge, perfect = Judge(model), Perfect(model=model, first=timeline.runs[0].date() - (KEPT - 1) * DAY)
    states = set[str]()
    for moment in timeline.runs:
        model.advance(moment)
        judge.after_run(moment, perfect.run(moment))
        states |= {row.state for row in judge.last.ledger.values()}
    assert states == {"OPEN", "SETTLING", "FINAL"}
    assert [one.day for one in judge.last.changes if one.after_final] == [month.first + 14 * DAY]


type Wrong = Callable[[Published, date], Published]


def moved(groups: Groups, amount: str) -> Groups:
    """A day whose cost is off."""
    group, sums = next(iter(groups.items()))
    return groups | {group: replace(sums, cost=sums.cost + Decimal(amount))}


def doubled(groups: Groups) -> Groups:
    """A day that was appended to itself."""
    return {
        group: Sums(rows=sums.rows * 2, cost=sums.cost * 2, credits=sums.credits * 2, keys=sums.keys + sums.keys)
        for group, sums in groups.items()
    }


def ledger(**changes: object) -> Wrong:
    """A ledger that says something else of a day."""
    return lambda good, day: replace(good, ledger={**good.ledger, day: replace(good.ledger[day], **changes)})  # type: ignore[arg-type]


def billing(change: Callable[[Groups], Groups]) -> Wrong:
    """Published rows that are others."""
    return lambda good, day: replace(good, billing={**good.billing, day: change(good.billing[day])})


WRONG: dict[str, tuple[Wrong, str]] = {
    "a cent off": (billing(lambda groups: moved(groups, "0.01")), "not the export's"),
    "a millionth off": (billing(lambda groups: moved(groups, "0.000001")), "not the export's"),
    "a day twice": (billing(doubled), "not the export's"),
    "a day gone": (
        lambda good, day: replace(good, billing={one: some for one, some in good.billing.items() if one != day}),
        "not the export's",
    ),
    "FOCUS lags": (lambda good, day: replace(good, focus={one: some for one, some in good.focus.items() if one != day}), "in FOCUS"),
    "FOCUS is off": (lambda good, day: replace(good, focus={**good.focus, day: {c: n + 1 for c, n in good.focus[day].items()}}), "off by"),
    "a change is lost": (lambda good, _: replace(good, changes=good.changes[:-1]), "changes say"),
    "a change comes twice": (lambda good, _: replace(good, changes=[*good.changes, good.changes[-1]]), "changes say"),
    "a change that follows nothing": (
        lambda good, _: replace(good, changes=[*good.changes[:-1], replace(good.changes[-1], is_first_load=False)]),
        "is_first_load",
    ),
    "a change that is said to be late": (
        lambda good, _: replace(good, changes=[*good.changes[:-1], replace(good.changes[-1], after_final=True)]),
        "after_final",
    ),
    "a row too many in the ledger": (ledger(row_count=1000), "has LedgerDay"),
    "other sums": (ledger(sums={"USD": Decimal(1)}), "has LedgerDay"),
    "FOCUS of an older version": (ledger(focus_version=0), "FOCUS lags"),
    "final too early": (ledger(state="FINAL"), "FINAL"),
    "no row in the ledger": (
        lambda good, day: replace(good, ledger={one: row for one, row in good.ledger.items() if one != day}),
        "ledger",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(month: Month, name: str) -> None:
    wrong, words = WRONG[name]
    model = ExportModel(month)
    now = month.start + 30 * HOUR
    model.advance(now)
    good = Perfect(model=model, first=now.date() - (KEPT - 1) * DAY).run(now)
    day = max(one for one, groups in good.billing.items() if any(sums.rows > 1 for sums in groups.values()))
    Judge(model).after_run(now, good)
    with pytest.raises(AssertionError, match=words):
        Judge(model).after_run(now, wrong(good, day))


def test_a_row_that_the_watermark_has_passed_is_lost(month: Month) -> None:
    """A run that has died may leave days as they were, but must not move the watermark over what they lack."""
    model = ExportModel(month)
    now = month.start + 30 * HOUR
    model.advance(now)
    judge, perfect = Judge(model), Perfect(model=model, first=now.date() - (KEPT - 1) * DAY)
    judge.after_run(now, perfect.run(now))
    model.advance(now + 3 * DAY)
    judge.whenever(now + 3 * DAY, perfect.state)
    ahead = replace(perfect.state, sources=[{"source_created_at": now, "watermark": now + 3 * DAY}])
    with pytest.raises(AssertionError, match="has passed over"):
        judge.whenever(now + 3 * DAY, ahead)


def test_the_oldest_days_are_first(month: Month) -> None:
    """After a long pause, one run takes the oldest days; one that takes others is named."""
    model = ExportModel(month)
    judge, perfect = Judge(model), Perfect(model=model, first=month.first - (KEPT + 7) * DAY)
    early, late = month.start - 8 * DAY, month.start + 29 * DAY
    model.advance(early)
    judge.after_run(early, perfect.run(early))
    model.advance(late)
    perfect.publish(sorted(judge.behind(judge.last))[-AT_MOST:], late)
    with pytest.raises(AssertionError, match="the oldest were not first"):
        judge.after_run(late, perfect.state)


JUNE, LATE = date(2026, 6, 2), date(2026, 7, 2)


@pytest.mark.parametrize(
    ("now", "changed", "state"),
    [
        ("2026-06-10 12:00", {}, "OPEN"),
        ("2026-06-15 23:59", {}, "OPEN"),
        ("2026-06-16 00:00", {}, "SETTLING"),
        ("2026-07-04 23:59", {}, "SETTLING"),
        ("2026-07-18 23:59", {}, "SETTLING"),
        ("2026-07-19 00:00", {}, "FINAL"),
        ("2026-07-19 23:59", {JUNE: "2026-07-06"}, "SETTLING"),
        ("2026-07-20 00:00", {JUNE: "2026-07-06"}, "FINAL"),
        ("2026-07-19 23:59", {LATE: "2026-07-18"}, "FINAL"),
    ],
)
def test_the_state_of_a_day(now: str, changed: dict[date, str], state: str) -> None:
    """Of 10 June; what changes in another day of its month keeps it from being final, of another month it does not."""
    changed_at = {day: at(moment) for day, moment in changed.items()}
    assert state_of(date(2026, 6, 10), changed_at, at(now)) == state


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)
