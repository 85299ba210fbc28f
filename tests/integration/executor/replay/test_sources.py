"""The days that have changed, of exports that are not just one table of Google's: views, copies, two exports side by side, rows of one
append that do not come at once.
"""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from services.executor.records import RunStatus
from tests.integration.executor.replay.conftest import Replaying
from tests.support.executor.billing_export import ACCOUNT, DETAILED
from tests.support.executor.replay.charge import Charge
from tests.support.executor.replay.delivery import TABLE
from tests.support.executor.replay.month import DAY, HOUR, KEPT, Month, Scale, replayed_month
from tests.support.executor.replay.replay import CHANGED, Replay

STANDARD, DETAILED_TABLE = f"gcp_billing_export_v1_{ACCOUNT}", TABLE


@pytest.fixture
def month() -> Month:
    return replayed_month(seed=13, scale=Scale(rows_a_day=3))


async def published_keys(replay: Replay) -> Counter[str]:
    """The keys of all rows, whatever their export time."""
    published = await replay.published()
    found = [sums.keys for groups in published.billing.values() for sums in groups.values()]
    return Counter(key for some in found for key in some.elements())


def expected_keys(replay: Replay, month: Month) -> Counter[str]:
    """Of the days that a first run on the first of the month keeps."""
    first = month.first - (KEPT - 1) * DAY
    return Counter(one.key for day, some in replay.model.days.items() if day >= first for one in some)


async def test_of_a_view(replaying: Replaying, month: Month) -> None:
    """A view has no partitions and no watermark of its own; what it shows is published all the same."""
    async with replaying(month) as replay:
        replay.delivery.do("CREATE VIEW `{dataset}.bills` AS SELECT * FROM `{export}`")
        for days in (0, 2, 3):
            await replay.pass_time(month.start + 10 * HOUR + days * DAY)
            await replay.run(**CHANGED, export_table="costs.bills")
            replay.judge.after_run(replay.clock.now(), await replay.published())


async def test_of_a_copy_without_export_times(replaying: Replaying, month: Month) -> None:
    """Nothing says which rows are new: it is read whole, or refused by name, and never goes stale in silence."""
    copy = "CREATE OR REPLACE TABLE `{dataset}.copied` AS SELECT * EXCEPT (export_time) FROM `{export}`"
    async with replaying(month) as replay:
        for days in (0, 2):
            await replay.pass_time(month.start + 10 * HOUR + days * DAY)
            replay.delivery.do(copy)
            outcome = await replay.execute(await replay.prepare(**CHANGED, export_table="costs.copied"))
            if outcome.status is RunStatus.FAILED:
                assert "export_time" in (outcome.error_message or "")
                continue
            found = await replay.tenant.rows("SELECT usage_date, COUNT(*) AS n, SUM(cost) AS c FROM billing_cost_daily GROUP BY usage_date")
            first = (month.start + 10 * HOUR).date() - 30 * DAY
            expected = {day: len(some) for day, some in replay.model.days.items() if day >= first}
            assert {one["usage_date"]: one["n"] for one in found} == expected


async def test_a_detailed_export_that_is_turned_on_later(replaying: Replaying, month: Month) -> None:
    """First there is the standard export alone. The detailed one begins with the month, and gets its rows under new export times."""
    columns, turned_on = ", ".join(DETAILED.names), month.start + 3 * DAY
    async with replaying(month, table=STANDARD) as replay:
        await replay.pass_time(month.start + 10 * HOUR)
        await replay.run()
        assert await published_keys(replay) == expected_keys(replay, month)

        await replay.pass_time(turned_on)
        replay.delivery.make(DETAILED_TABLE)
        backfilled = columns.replace("export_time", f"TIMESTAMP '{turned_on:%F %T}'")
        replay.delivery.do(
            f"INSERT INTO `{{dataset}}.{DETAILED_TABLE}` (_PARTITIONTIME, {columns}) SELECT TIMESTAMP '{turned_on:%F}', {backfilled} "
            f"FROM `{{export}}` WHERE usage_start_time >= TIMESTAMP '{month.first}'"
        )
        replay.clock.time += HOUR
        await replay.run()
        assert await published_keys(replay) == expected_keys(replay, month)

        await replay.pass_time(turned_on + 2 * DAY)
        replay.delivery.do(
            f"INSERT INTO `{{dataset}}.{DETAILED_TABLE}` (_PARTITIONTIME, {columns}) SELECT TIMESTAMP_TRUNC(export_time, DAY), {columns} "
            f"FROM `{{export}}` WHERE export_time > TIMESTAMP '{turned_on:%F %T}'"
        )
        await replay.run()
        assert await published_keys(replay) == expected_keys(replay, month)


@pytest.mark.xfail(reason="rows with the export time that a day has been read up to are never read any more")
async def test_rows_of_one_append_that_come_one_after_the_other(replaying: Replaying, month: Month) -> None:
    """Some rows with an export time are there when a run reads, and others with the same one come after it."""
    moment = month.start + 2 * DAY
    [(last, _)] = Counter(one.arrived for one in month.charges if month.start + 11 * HOUR < one.arrived <= moment).most_common(1)
    some = [one for one in month.charges if one.arrived == last]
    assert len(some) > 1
    split = [_later(one, number) for number, one in enumerate(some)]
    others = [one for one in month.charges if one.arrived != last]
    charges = tuple(sorted([*others, *split], key=lambda one: (one.arrived, one.key)))
    async with replaying(replace(month, charges=charges)) as replay:
        await replay.pass_time(month.start + 10 * HOUR)
        await replay.run_judged()
        await replay.pass_time(last + timedelta(minutes=1))
        await replay.run_judged()
        await replay.pass_time(last + timedelta(minutes=30))
        await replay.run_judged()
        assert replay.judge.behind(replay.judge.last) == set()


def _later(charge: Charge, number: int) -> Charge:
    return charge if number % 2 else replace(charge, arrived=charge.arrived + timedelta(minutes=20))
