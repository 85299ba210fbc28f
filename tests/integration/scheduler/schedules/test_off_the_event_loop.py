"""What takes long is not computed on the event loop, where every other call would wait for it."""

import threading
from typing import Any

import pytest
from croniter import croniter

from services.platform.bigquery import query_parameters
from services.scheduler.cron import expression
from services.scheduler.queue import trigger
from services.scheduler.queue.store import QueueStore
from services.scheduler.queue.trigger import Trigger
from services.scheduler.queue.trigger_plan import DueSchedule
from tests.integration.scheduler.schedules.conftest import Api

ROWS = """
INSERT INTO tenant_profiles (tenant_id, status) SELECT @tenant, 'ACTIVE';
INSERT INTO tenant_subscriptions (subscription_id, tenant_id, status) SELECT @tenant, @tenant, 'ACTIVE';
UPDATE tenant_pipeline_configs SET next_run_time = TIMESTAMP '2026-03-28 00:00:00+00' WHERE tenant_id = @tenant
"""


class Threads:
    """Wraps functions, and notes in which threads they are called."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.seen = dict[str, set[threading.Thread]]()

    def note(self, name: str) -> None:
        self.seen.setdefault(name, set()).add(threading.current_thread())

    def watch(self, owner: Any, name: str) -> None:
        plain = getattr(owner, name)

        def noting(*args: Any, **kwargs: Any) -> Any:
            self.note(name)
            return plain(*args, **kwargs)

        self._patch.setattr(owner, name, noting)


async def test_cron_and_ten_thousand_rows_are_worked_off_in_threads(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """croniter; and what a trigger does with each of its rows, from parsing them to the parameters of its statements."""
    threads = Threads(monkeypatch)

    class Noting(croniter):
        def get_next(self, *args: Any, **kwargs: Any) -> Any:
            threads.note("croniter")
            return super().get_next(*args, **kwargs)

    monkeypatch.setattr(expression, "croniter", Noting)
    threads.watch(DueSchedule, "from_row")
    threads.watch(trigger, "plan_trigger")
    threads.watch(query_parameters, "to_parameter")
    made = await api.create(schedule_cron="17 5 * * *")
    await api.get(made.config_id)
    await api.patch(made.config_id, schedule_cron="18 5 * * *")
    await api.all()
    await api.rows(ROWS)
    assert (await Trigger(QueueStore(api.bq), api.clock).fire()).queued >= 1
    assert threads.seen.keys() == {"croniter", "from_row", "plan_trigger", "to_parameter"}
    assert not {name for name, seen in threads.seen.items() if threading.current_thread() in seen}
