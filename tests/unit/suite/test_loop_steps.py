"""What once held up the event loop: a page of the longest entries, and schedules that fire rarely."""

import uuid
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from convergence.auth.v1 import api_key_service_pb2
from convergence.executor.v1 import pipeline_service_pb2
from convergence.scheduler.v1 import schedule_service_pb2, scheduled_run_service_pb2

from services.auth.servicers.api_key import ApiKeyServicer
from services.auth.store import StoredKey
from services.executor.records import Run
from services.executor.servicers.pipeline import PipelineServicer
from services.platform.rpc.paging import MAX_SIZE
from services.scheduler.queue.scheduled_runs import ScheduledRun
from services.scheduler.schedules.schedule import Schedule
from services.scheduler.servicers.schedule import ScheduleServicer
from services.scheduler.servicers.scheduled_run import ScheduledRunServicer
from tests.support.loop_watch import no_step_longer_than
from tests.support.set_clock import SetClock

BOUND_SECONDS = 0.1
NOW = datetime(2025, 11, 17, tzinfo=UTC)
PARAMETERS = {f"parameter {number}": ["x" * 20, 1.5, None] for number in range(300)}
NONE: Any = None


def uuids() -> list[str]:
    return [str(uuid.UUID(int=number)) for number in range(MAX_SIZE + 1)]


def store(**methods: Any) -> Any:
    """Answers each method with what is given."""

    def answering(value: Any) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def answer(*_: object, **__: object) -> Any:
            return value

        return answer

    return SimpleNamespace(**{name: answering(value) for name, value in methods.items()})


def list_runs() -> tuple[Any, Any]:
    runs = [
        Run(
            pipeline_logging_id=one,
            tenant_id="acme",
            pipeline_id="acme-gcp-cost-billing",
            parameters=PARAMETERS,
            started_at=NOW,
            deadline_at=NOW,
            error_message="e" * 1_000,
        )
        for one in uuids()
    ]
    servicer = PipelineServicer(preparer=NONE, starts=NONE, dry_runner=NONE, canceller=NONE, store=store(list_runs=runs))
    return servicer.ListRuns, pipeline_service_pb2.ListRunsRequest(tenant_id="acme", page_size=MAX_SIZE)


def list_scheduled_runs() -> tuple[Any, Any]:
    runs = [
        ScheduledRun(
            run_id=one,
            config_id=one,
            tenant_id="acme",
            pipeline_id="gcp-cost-billing",
            state="PENDING",
            queue_state="QUEUED",
            scheduled_time=NOW,
            priority=50,
            parameters=PARAMETERS,
            pipeline_logging_id=None,
            retry_count=0,
            max_retries=3,
            error_message=None,
            created_at=NOW,
            started_at=None,
            completed_at=None,
            not_before=None,
            added_at=NOW,
        )
        for one in uuids()
    ]
    servicer = ScheduledRunServicer(store(list_runs=runs), store(), SetClock())
    return servicer.ListScheduledRuns, scheduled_run_service_pb2.ListScheduledRunsRequest(tenant_id="acme", page_size=MAX_SIZE)


def rare(config_id: str) -> Schedule:
    """Its next five fire times lie decades apart."""
    blank = Schedule.blank(config_id=config_id, tenant_id="acme", provider="gcp", domain="cost", pipeline_template="billing")
    return replace(blank, schedule_cron="0 0 29 2 *", timezone="Europe/Berlin", parameters=PARAMETERS)


def list_schedules() -> tuple[Any, Any]:
    servicer = ScheduleServicer(NONE, store(page=[(one, rare(one)) for one in uuids()]), SetClock(), trigger_cron="0 * * * *")
    return servicer.ListSchedules, schedule_service_pb2.ListSchedulesRequest(tenant_id="acme", page_size=MAX_SIZE)


def list_api_keys() -> tuple[Any, Any]:
    keys = [
        StoredKey(
            api_key_id=one,
            tenant_id="acme",
            scopes=("runs:read",) * 6,
            is_active=True,
            expires_at=NOW + timedelta(days=1),
            created_at=NOW,
            last_used_at=NOW,
        )
        for one in uuids()
    ]
    servicer = ApiKeyServicer(store(list_api_keys=keys), NONE, SetClock(), NONE)
    return servicer.ListApiKeys, api_key_service_pb2.ListApiKeysRequest(tenant_id="acme", page_size=MAX_SIZE)


@pytest.mark.parametrize("case", [list_runs, list_scheduled_runs, list_schedules, list_api_keys], ids=lambda case: case.__name__)
async def test_a_page_of_the_longest_entries_holds_up_no_other_call(case: Callable[[], tuple[Any, Any]]) -> None:
    rpc, request = case()
    with no_step_longer_than(BOUND_SECONDS):
        answer = await rpc(request, NONE)
    assert answer.next_page_token


async def test_finding_rare_fire_times_holds_up_no_other_call() -> None:
    servicer = ScheduleServicer(store(get=rare("one")), NONE, SetClock(), trigger_cron="0 * * * *")
    with no_step_longer_than(BOUND_SECONDS):
        answer = await servicer.GetSchedule(schedule_service_pb2.GetScheduleRequest(tenant_id="acme", config_id="one"), NONE)
    assert len(answer.next_fire_times) == 5
