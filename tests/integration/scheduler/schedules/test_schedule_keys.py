"""Idempotency-Key of CreateSchedule: one schedule for each key and day, however often it is sent."""

import asyncio
from datetime import timedelta

import pytest

from services.platform.plan import PlanLimits
from tests.integration.scheduler.schedules.conftest import Api, refusal
from tests.integration.scheduler.schedules.test_schedule_limits import IN_TABLE, reason
from tests.support.counting import jobs


def use(api: Api, key: str) -> None:
    api.metadata[:] = [("idempotency-key", key)]


async def test_the_same_request_with_a_key_is_one_schedule(api: Api) -> None:
    """Also five at once, after it was changed, and when the plan is used up; without a key two requests are two schedules."""
    api.tenants.limits = PlanLimits(max_schedules=2)
    use(api, "order-1")
    made = await asyncio.gather(*(api.create(parameters={"note": "x"}, priority=7) for _ in range(5)))
    assert len({one.config_id for one in made}) == 1
    before = jobs()
    changed = await api.patch(made[0].config_id, priority=9)
    again = await api.create(parameters={"note": "x"}, priority=7)
    assert (again, again.priority, len(await api.rows(IN_TABLE))) == (changed, 9, 1)
    assert jobs() - before == 2 + 2 + 1
    api.metadata.clear()
    assert (await api.create(parameters={"note": "x"}, priority=7)).config_id != again.config_id
    use(api, "order-1")
    assert (await api.create(parameters={"note": "x"}, priority=7)).config_id == again.config_id
    use(api, "order-2")
    assert (await reason(api.create()))[1] == "SCHEDULE_LIMIT_REACHED"


async def test_a_key_is_for_one_request(api: Api) -> None:
    use(api, "k")
    made = await api.create()
    for fields in ({"priority": 3}, {"parameters": {"note": "y"}}, {"pipeline_template": "dateless"}, {"timezone": "UTC"}):
        assert await reason(api.create(**fields)) == ("FAILED_PRECONDITION", "IDEMPOTENCY_KEY_REUSED", False)
    assert [one.config_id for one in await api.all()] == [made.config_id]
    done = await asyncio.gather(*(api.create(priority=priority) for priority in range(3)), return_exceptions=True)
    assert all(isinstance(one, BaseException) for one in done)


async def test_of_two_requests_with_a_new_key_at_once_one_is_refused(api: Api) -> None:
    use(api, "race")
    done = await asyncio.gather(*(api.create(priority=priority) for priority in (1, 2)), return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in done) == 1
    assert len(await api.rows(IN_TABLE)) == 1


async def test_a_refusal_does_not_use_up_the_key_and_a_day_later_it_means_a_new_schedule(api: Api) -> None:
    use(api, "nightly")
    assert await refusal(api.create(schedule_cron="never")) == ("INVALID_ARGUMENT", "schedule_cron")
    first = await api.create()
    api.clock.time += timedelta(hours=23)
    assert (await api.create()).config_id == first.config_id
    api.clock.time += timedelta(hours=2)
    second = await api.create()
    assert second.config_id != first.config_id
    assert (await api.create()).config_id == second.config_id


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_that_cannot_be_one_is_refused(api: Api, key: str) -> None:
    use(api, key)
    assert await refusal(api.create()) == ("INVALID_ARGUMENT", "Idempotency-Key")
    assert await api.all() == []
