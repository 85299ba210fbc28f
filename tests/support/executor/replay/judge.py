"""Judges what is published after each run of a replayed month, and remembers what it saw. Raises AssertionError, naming the day."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from tests.support.executor.replay.charge import NAMES
from tests.support.executor.replay.day_states import state_of
from tests.support.executor.replay.model import ExportModel, Groups
from tests.support.executor.replay.month import KEPT
from tests.support.executor.replay.published import Change, LedgerDay, Published

AT_MOST = 31
"""Days of one run."""
OPEN_DAYS = 5
"""Days before today that a run may take although they have not changed: they are still open."""
HALF_A_CENT = Decimal("0.005")
_IDS = {name: service for service, name in NAMES.items()} | {service: service for service in NAMES}

type Money = dict[tuple[date, str, str], Decimal]
"""Net cost by day, service and currency."""


class Judge:
    """Compares with `model`, which has been advanced to the moment of each run."""

    def __init__(self, model: ExportModel) -> None:
        self._model = model
        self.checks_export_times = True
        """Whether the ledger's exported_to has to be that of the day's rows."""
        self._kept_from: date | None = None
        self._changed_at = dict[date, datetime]()
        self._changed_before = dict[date, datetime]()
        self._last = Published(billing={}, focus={}, ledger={}, changes=[], sources=[])

    @property
    def kept_from(self) -> date | None:
        """The first day that is kept; None before the first run."""
        return self._kept_from

    @property
    def last(self) -> Published:
        """What was published when it was last looked at."""
        return self._last

    def behind(self, published: Published) -> set[date]:
        """The days that are kept and whose published rows are not those of the export. A day that an export made anew has no rows of
        stays as it was published.
        """
        groups = {day: self._model.groups(day) for day in {*self._model.days, *published.billing} if self._is_kept(day, published)}
        return {day for day, found in groups.items() if found and published.billing.get(day, {}) != found}

    def after_run(self, now: datetime, published: Published) -> None:
        """A run has completed at `now`: what is published is the export as it is, but for what one run cannot take."""
        if self._kept_from is None and published.ledger:  # a run that finds an export without rows keeps nothing yet
            self._kept_from = now.date() - timedelta(days=KEPT - 1)
        before, behind = self.behind(self._last), self.behind(published)
        wrong = {day: _difference(published.billing.get(day, {}), self._model.groups(day)) for day in sorted(behind)}
        most = AT_MOST - len(self._also_due(now) - before)
        if len(before) <= most:
            assert not behind, f"at {now} these days are not the export's: {wrong}"
        else:
            assert len(behind) <= len(before) - most, f"at {now} too few days were taken: of {len(before)}, not {sorted(behind)}"
            in_order = sorted(before, key=lambda day: (day in self._last.ledger, day))  # days that were never loaded come first
            assert behind <= set(in_order[most:]), f"at {now} the oldest were not first: {sorted(behind)}"
        self._check_coverage(now, published)
        earlier = self._last
        self.whenever(now, published)
        self._check_states(now, earlier, published)

    def whenever(self, now: datetime, published: Published, *, focus_may_lag: bool = False) -> None:
        """What holds at any time, also when a run has failed or died: whole days, FOCUS that agrees, a ledger that adds up.
        `focus_may_lag`: a run has died between the two.
        """
        for day, groups in published.billing.items():
            assert groups in (self._model.groups(day), self._last.billing.get(day)), (
                f"at {now} {day} is neither what it was nor what the export has: {_difference(groups, self._model.groups(day))}"
            )
        if not focus_may_lag:
            self._check_focus(published)
        self._check_changes(now, published)
        self._check_ledger(now, published)
        self._check_watermark(published)
        self._last = published

    def adopt(self, published: Published) -> None:
        """Takes what is published for what it was: an old tenant's days have no ledger."""
        self._last = published
        self._changed_at = {day: row.changed_at for day, row in published.ledger.items()}

    def unchanged(self, published: Published) -> None:
        """A run had nothing to do, or has failed: only time has passed."""
        for name in ("billing", "focus", "changes", "sources"):
            assert getattr(published, name) == getattr(self._last, name), name
        assert _without_state(published.ledger) == _without_state(self._last.ledger)

    def _is_kept(self, day: date, published: Published) -> bool:
        row = published.ledger.get(day)
        return (row is not None and row.is_followed) or (self._kept_from is not None and day >= self._kept_from)

    def _also_due(self, now: datetime) -> set[date]:
        """Days that a run takes whether they have changed or not: those that were never loaded, and may take: those that are still open."""
        return {day for day in self._days_kept(now) if day not in self._last.ledger or day >= now.date() - timedelta(days=OPEN_DAYS)}

    def _days_kept(self, now: datetime) -> set[date]:
        if self._kept_from is None:
            return set()
        return {self._kept_from + timedelta(days=number) for number in range((now.date() - self._kept_from).days + 1)}

    def _check_coverage(self, now: datetime, published: Published) -> None:
        missing = set() if self.behind(published) else self._days_kept(now) - published.ledger.keys()
        assert not missing, f"at {now} the ledger has no row of {sorted(missing)}"

    def _check_focus(self, published: Published) -> None:
        lagging = {day: row for day, row in published.ledger.items() if row.focus_version != row.version}
        assert not lagging, f"FOCUS lags: {lagging}"
        for day in {*published.billing, *published.focus}:
            expected, found = net_by_currency(published.billing.get(day, {})), published.focus.get(day, {})
            assert expected.keys() == found.keys(), f"{day} in FOCUS has {found}, and should have {expected}"
            off = {currency: found[currency] - net for currency, net in expected.items() if abs(found[currency] - net) >= HALF_A_CENT}
            assert not off, f"BilledCost of {day} is off by {off}"

    def _check_changes(self, now: datetime, published: Published) -> None:
        found, known = Counter(published.changes), Counter(self._last.changes)
        assert known <= found, "changes are only ever appended"
        new = list((found - known).elements())
        for one in new:
            assert one.delta == one.after - one.before, one
            assert one.delta or one.is_first_load, one
            assert one.is_first_load == (one.day not in self._last.ledger), one
            assert one.after_final == self._was_final(one.day, now), one
        moved, difference = sum_of(new), differences(money_of(self._last.billing), money_of(published.billing))
        assert moved == difference, f"changes say {moved}, what is published has moved by {difference}"

    def _was_final(self, day: date, now: datetime) -> bool:
        earlier = self._last.ledger.get(day)
        return earlier is not None and "FINAL" in {earlier.state, state_of(day, self._changed_at, now)}

    def _check_ledger(self, now: datetime, published: Published) -> None:
        assert published.billing.keys() <= published.ledger.keys(), f"the ledger lacks {published.billing.keys() - published.ledger.keys()}"
        moved = {day for day, groups in published.billing.items() if figures(groups) != figures(self._last.billing.get(day, {}))}
        new = published.ledger.keys() - self._last.ledger.keys()
        self._changed_before = dict(self._changed_at)
        self._changed_at |= dict.fromkeys(moved | new, now)
        for day, row in published.ledger.items():
            groups, earlier = published.billing.get(day, {}), self._last.ledger.get(day)
            assert row.row_count == sum(sums.rows for sums in groups.values()), f"{day} has {row}"
            assert row.sums == net_by_currency(groups), f"{day} has {row}, and holds {groups}"
            assert row.first_loaded_at <= row.changed_at, f"{day} has {row}"
            assert max(row.changed_at, row.last_loaded_at) <= now, f"{day} has {row}"
            assert row.changed_at == self._changed_at[day], f"{day} changed at {self._changed_at[day]}, and says {row.changed_at}"
            exported_to = max((sums.exported_to for sums in groups.values()), default=0)
            if exported_to and self.checks_export_times:
                assert row.exported_to is not None, day
                assert int(row.exported_to.timestamp()) == exported_to, f"{day} has {row}"
            if earlier:
                is_loaded_now = row.last_loaded_at == now != earlier.last_loaded_at
                assert row.version >= earlier.version + is_loaded_now, f"{day}: {row}"

    def _check_states(self, now: datetime, last: Published, published: Published) -> None:
        """By the rule, with what had changed before the run, or since. A day that was FINAL stays so until it changes."""
        for day, row in published.ledger.items():
            due = {state_of(day, self._changed_before, now), state_of(day, self._changed_at, now)}
            earlier = last.ledger.get(day)
            if earlier and earlier.state == "FINAL" and row.changed_at < now:
                due = {"FINAL"}
            assert row.state in due, f"{day} at {now} is to be {due}: {row}"

    def _check_watermark(self, published: Published) -> None:
        """Each row up to the watermark of the export as it is now is published, if its day is kept."""
        newest = max(published.sources, key=lambda one: one["source_created_at"], default=None)
        if newest is None or newest["watermark"] is None:
            return
        for day, charges in self._model.days.items():
            if self._is_kept(day, published):
                there = {key for sums in published.billing.get(day, {}).values() for key in sums.keys}
                lost = [one.key for one in charges if one.export_time <= newest["watermark"] and one.key not in there]
                assert not lost, f"the watermark {newest['watermark']} has passed over {lost} of {day}"


def _without_state(ledger: Mapping[date, LedgerDay]) -> dict[date, LedgerDay]:
    return {day: replace(row, state="") for day, row in ledger.items()}


def net_by_currency(groups: Groups) -> dict[str, Decimal]:
    """Net cost of a day by currency."""
    found = defaultdict[str, Decimal](Decimal)
    for (_, currency), sums in groups.items():
        found[currency] += sums.net
    return dict(found)


def figures(groups: Groups) -> tuple[int, dict[str, Decimal]]:
    """What makes a day's `changed_at` move."""
    return sum(sums.rows for sums in groups.values()), net_by_currency(groups)


def money_of(billing: Mapping[date, Groups]) -> Money:
    """Net cost of everything."""
    return {(day, *group): sums.net for day, groups in billing.items() for group, sums in groups.items()}


def sum_of(changes: Iterable[Change]) -> Money:
    """What changes add up to, without what adds up to nothing."""
    found = defaultdict[tuple[date, str, str], Decimal](Decimal)
    for one in changes:
        found[one.day, _IDS[one.service or ""], one.currency] += one.delta
    return {key: amount for key, amount in found.items() if amount}


def differences(before: Money, after: Money) -> Money:
    """By how much money has moved, where it has."""
    moved = {key: after.get(key, Decimal(0)) - before.get(key, Decimal(0)) for key in {*before, *after}}
    return {key: amount for key, amount in moved.items() if amount}


def _difference(found: Groups, expected: Groups) -> dict[str, object]:
    there = {key: count for sums in found.values() for key, count in sums.keys.items()}
    wanted = {key: count for sums in expected.values() for key, count in sums.keys.items()}
    return {
        "missing": sorted(wanted.keys() - there.keys()),
        "too much": sorted(there.keys() - wanted.keys()),
        "doubled": sorted(key for key, count in there.items() if count > 1),
        "net": {group: sums.net for group, sums in found.items() if sums.net != expected.get(group, sums).net},
    }
