"""What one tenant's schedules may cost the others: pages, and the limits of its plan, also when many calls come at once."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, timedelta
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.platform.plan import PlanLimits
from services.scheduler.cron import expression
from services.scheduler.schedules.schedule import Schedule
from tests.integration.scheduler.schedules.conftest import NOON, Api, refusal
from tests.support.counting import jobs

MANY = """
INSERT INTO tenant_pipeline_configs (config_id, tenant_id, provider, domain, pipeline_template, schedule_cron, next_run_time)
SELECT
  CONCAT(@tenant, '-', LPAD(CAST(i AS STRING), 5, '0')), @tenant, 'gcp', 'cost', 'billing', '0 0 29 2 *', TIMESTAMP '2028-02-29 00:00:00+00'
FROM UNNEST(GENERATE_ARRAY(1, 10000)) AS i
"""
IN_TABLE = "SELECT config_id FROM tenant_pipeline_configs WHERE tenant_id = @tenant"


async def reason(call: Awaitable[Any]) -> tuple[str, str, bool]:
    """The code and the reason of a refusal, and whether it says when to retry."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    status, info = rpc_status.from_call(refused.value), error_details_pb2.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    return refused.value.code().name, info.reason, any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)


async def test_pages_follow_each_other_by_pipeline_then_id(api: Api) -> None:
    """Each schedule once, also if one is deleted or created between two pages; none of them with fire times."""
    templates = ("monthly", "billing", "dateless", "billing", "billing")
    made = [await api.create(pipeline_template=template) for template in templates]
    order = [one.config_id for one in sorted(made, key=lambda one: (one.pipeline_template, one.config_id))]
    first = await api.page(2)
    await api.delete(order[1])
    later = await api.create(pipeline_template="monthly", provider="gcp")
    second = await api.page(2, first.next_page_token)
    third = await api.page(2, second.next_page_token)
    listed = [one.config_id for page in (first, second, third) for one in page.schedules]
    assert listed[:4] == order[:4]
    assert set(listed[4:]) == {order[4], later.config_id}
    assert third.next_page_token == ""
    assert not any(one.next_fire_times or one.HasField("queued_at_earliest") for one in (*first.schedules, *second.schedules))
    assert all(one.HasField("next_run_time") for one in first.schedules)
    assert (await api.page(200)).next_page_token == ""


@pytest.mark.parametrize(("size", "token", "field"), [(201, "", "page_size"), (-1, "", "page_size"), (0, "ten", "page_token")])
async def test_a_bad_page_names_its_field(api: Api, size: int, token: str, field: str) -> None:
    assert await refusal(api.page(size, token)) == ("INVALID_ARGUMENT", field)


async def test_ten_thousand_schedules_are_a_page_at_a_time_and_no_cron(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever another system wrote: a list reads one row more than its page, in one statement, and evaluates no expression. None can be
    added, without a lock over all of them.
    """
    await api.rows(MANY)
    parsed, plain = list[object](), Schedule.from_row

    def counting(row: Any) -> Schedule:
        parsed.append(row)
        return plain(row)

    def slow(*_: object) -> None:
        raise AssertionError("a list evaluates no cron expression")

    monkeypatch.setattr(Schedule, "from_row", counting)
    before = jobs()
    with monkeypatch.context() as patched:
        patched.setattr(expression, "croniter", slow)
        page = await api.page(200)
    assert (len(page.schedules), len(parsed), jobs() - before) == (200, 201, 1)
    assert page.next_page_token
    assert await reason(api.create()) == ("FAILED_PRECONDITION", "SCHEDULE_LIMIT_REACHED", False)


async def test_a_plan_s_schedules_are_exact_however_many_are_created_at_once(api: Api) -> None:
    """For a tenant without any, for one that has some, and after one was deleted. A smaller plan takes none away."""
    api.tenants.limits = PlanLimits(max_schedules=3)
    for attempts, wanted in ((8, 3), (4, 0)):
        done = await asyncio.gather(*(api.create() for _ in range(attempts)), return_exceptions=True)
        refused = [one for one in done if isinstance(one, grpc.aio.AioRpcError)]
        assert (attempts - len(refused), {one.code().name for one in refused}) == (wanted, {"FAILED_PRECONDITION"})
        assert len(await api.rows(IN_TABLE)) == 3
    assert {one.config_id for one in await api.all()} == {row["config_id"] for row in await api.rows(IN_TABLE)}
    await api.delete((await api.all())[0].config_id)
    done = await asyncio.gather(*(api.create() for _ in range(4)), return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in done) == 1
    api.tenants.limits = PlanLimits(max_schedules=0)
    assert await reason(api.create()) == ("FAILED_PRECONDITION", "SCHEDULE_LIMIT_REACHED", False)
    assert len(await api.all()) == 3


async def test_no_priority_above_the_plan_s_ceiling(api: Api) -> None:
    """The usual 50 where nothing is said, or the ceiling; a schedule from before a smaller plan can be changed otherwise."""
    api.tenants.limits = PlanLimits(max_priority=80)
    made = await api.create(priority=80)
    with pytest.raises(grpc.aio.AioRpcError, match="priority: use 0 to 80") as refused:
        await api.create(priority=81)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await api.create()).priority == 50
    api.tenants.limits = PlanLimits(max_priority=20)
    assert (await api.create()).priority == 20
    assert await refusal(api.patch(made.config_id, priority=21)) == ("INVALID_ARGUMENT", "priority")
    assert (await api.patch(made.config_id, max_retries=1)).priority == 80
    assert (await api.patch(made.config_id, priority=20)).priority == 20


async def test_backfills_of_a_tenant_have_a_total(api: Api) -> None:
    """All days or none; days that are queued already take no place; two at once are counted together."""
    api.tenants.limits = PlanLimits(max_queued_runs=5)
    one, other = await api.create(), await api.create()
    assert await api.backfill(one.config_id, "2026-03-25", "2026-03-27") == (3, 0)
    assert await reason(api.backfill(other.config_id, "2026-03-25", "2026-03-27")) == ("RESOURCE_EXHAUSTED", "QUEUE_LIMIT_REACHED", True)
    assert await api.backfill(one.config_id, "2026-03-24", "2026-03-27") == (1, 3)
    days = [(one, "2026-03-20"), (other, "2026-03-21"), (one, "2026-03-22")]
    done = await asyncio.gather(*(api.backfill(made.config_id, day, day) for made, day in days), return_exceptions=True)
    assert sum(answer == (1, 0) for answer in done) == 1
    assert len(await api.rows("SELECT run_id FROM pipeline_execution_queue WHERE tenant_id = @tenant")) == 5
    assert await api.backfill(one.config_id, "2026-03-25", "2026-03-27") == (0, 3), "nothing new, so nothing too much"


async def test_a_schedule_finer_than_the_trigger_says_when_its_runs_are_queued(api: Api) -> None:
    """The trigger is hourly: the run of 02:30 is queued at 03:00, and of 60 minutely fire times 59 are passed over."""
    nightly = await api.create()
    assert nightly.queued_at_earliest.ToDatetime(UTC) == nightly.next_run_time.ToDatetime(UTC)  # 02:30 does not exist that night
    assert nightly.next_fire_times[1].queued_at_earliest.ToDatetime(UTC) == nightly.next_fire_times[1].utc.ToDatetime(UTC) + timedelta(
        minutes=30
    )
    assert nightly.passed_over_count == 0
    minutely = await api.create(schedule_cron="* * * * *")
    assert minutely.queued_at_earliest.ToDatetime(UTC) == NOON + timedelta(hours=1)
    assert minutely.passed_over_count == 59
    assert (await api.patch(minutely.config_id, catch_up="all")).passed_over_count == 0
    paused = await api.patch(minutely.config_id, is_active=False)
    assert (paused.HasField("queued_at_earliest"), len(paused.next_fire_times)) == (False, 0)
