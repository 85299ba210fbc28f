"""What callers ask to see leaves threads to the statements of runs, however often and by whom it is asked."""

import asyncio
import threading
from typing import Any

import pytest

from services.executor.records import Run, RunFilter
from services.executor.store import Store
from services.platform.access.caller import Caller, set_caller
from services.platform.bigquery.client import BigQuery
from services.platform.settings import ServiceSettings
from tests.integration.executor.runs.test_life import Begin

THREADS = 4


async def listed_by_its_caller(store: Store, tenant_id: str) -> list[Run]:
    """As a call of the tenant's: the client makes such calls take turns, see BigQuery.call."""
    set_caller(Caller(tenant_id=tenant_id))
    return await store.list_runs(tenant_id, RunFilter(), limit=10)


async def test_a_crowd_of_lists_does_not_hold_up_a_run(
    begin: Begin, service_settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty lists of one tenant hang at BigQuery, and take half of the threads: a run's statement finds one at once."""
    job = await begin(date="2025-11-17")
    settings = service_settings.model_copy(update={"bigquery_threads": THREADS})
    async with BigQuery(settings, service="executor") as bq:
        store = Store(bq, ddl=settings.configs_dir / "bigquery" / "tenant")
        send, hung, answer = bq.client.query_and_wait, list[str](), threading.Event()

        def hang(sql: str, **options: Any) -> Any:
            if "@row_limit" in sql:
                hung.append(sql)
                answer.wait(60)
            return send(sql, **options)

        monkeypatch.setattr(bq.client, "query_and_wait", hang)
        lists = [asyncio.create_task(listed_by_its_caller(store, job.run.tenant_id)) for _ in range(50)]
        try:
            async with asyncio.timeout(20):
                while len(hung) < THREADS // 2:
                    await asyncio.sleep(0.01)
                state = await store.run_state(job.run.tenant_id, job.run.pipeline_logging_id)
            assert state is not None
            assert (len(hung), sum(task.done() for task in lists)) == (THREADS // 2, 0)
            for task in lists[THREADS // 2 :]:
                task.cancel()
        finally:
            answer.set()
        done = await asyncio.gather(*lists[: THREADS // 2])
    assert [[run.pipeline_logging_id for run in runs] for runs in done] == [[job.run.pipeline_logging_id]] * (THREADS // 2)
