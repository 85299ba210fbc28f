"""A tenant whose export is delivered as a replayed month."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import pytest

from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.executor.templates.step import Toolbox
from services.platform.settings import ServiceSettings
from tests.support.executor.fakes import OwnSource
from tests.support.executor.replay.delivery import TABLE, Delivery
from tests.support.executor.replay.judge import Judge
from tests.support.executor.replay.metered_cloud import MeteredCloud, metered_cloud
from tests.support.executor.replay.model import ExportModel
from tests.support.executor.replay.month import Month
from tests.support.executor.replay.replay import Replay
from tests.support.executor.replay.timeline import Recreation
from tests.support.executor.tenant import Tenant
from tests.support.set_clock import SetClock

type Replaying = Callable[..., AbstractAsyncContextManager[Replay]]


@pytest.fixture
def replaying(tenant: Tenant, tools: Toolbox, store: Store, catalog: Catalog, service_settings: ServiceSettings) -> Replaying:
    """Opens the replay of a month, before anything has arrived."""

    @asynccontextmanager
    async def opened(month: Month, recreations: Sequence[Recreation] = (), *, table: str = TABLE) -> AsyncIterator[Replay]:
        assert service_settings.bigquery_storage_emulator_host
        clock, model = SetClock(), ExportModel(month, recreations)
        clock.time = month.start
        cloud = MeteredCloud(
            upstream=tenant.host.removeprefix("http://"),
            storage_upstream=service_settings.bigquery_storage_emulator_host.removeprefix("http://"),
        )
        with metered_cloud(cloud), Delivery(tenant.host, tenant.project, recreations, table=table) as delivery:
            own = {"bigquery_emulator_host": cloud.url, "bigquery_storage_emulator_host": cloud.storage}
            source = OwnSource(tenant, service_settings.model_copy(update=own))
            delivery.prepare(month.charges)
            yield Replay(
                tenant=tenant,
                tools=replace(tools, clock=clock, sources=source),
                store=store,
                catalog=catalog,
                clock=clock,
                model=model,
                delivery=delivery,
                cloud=cloud,
                judge=Judge(model),
            )

    return opened
