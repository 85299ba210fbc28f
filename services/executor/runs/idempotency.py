"""`Idempotency-Key` of a run: the same key of a tenant starts one run within 24 hours, see `services.platform.rpc.idempotency`.

The key's id is the run's, and `RunStarter.start_once` starts it once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from services.executor.runs.prepared import PreparedRun
from services.executor.runs.start import RunStarter
from services.executor.store import Store
from services.platform.clock import Clock
from services.platform.rpc.idempotency import id_now, key_reused

RUNS: Final = UUID("7c1d94f2-5f0b-5e0e-9a53-2b8f5a4f61d7")
"""The namespace of runs that idempotency keys name."""


class IdempotentStarts:
    """Starts runs with idempotency keys."""

    def __init__(self, starter: RunStarter, store: Store, clock: Clock) -> None:
        self._starter, self._store, self._clock = starter, store, clock

    async def start(self, prepared: PreparedRun, key: str | None) -> str:
        """The id of the key's run, which is started unless it was started in the last 24 hours; without a key it is always started. Raises
        as `RunStarter.start` does, and FailedPrecondition if the key was used for another run. A refused start does not use up the key.
        """
        if key is None:
            await self._starter.start(prepared)
            return prepared.run.pipeline_logging_id
        tenant_id = prepared.run.tenant_id

        async def find(ids: Sequence[str]) -> Mapping[str, datetime]:
            states = await self._store.run_states(tenant_id, ids)
            return {identity: state.started_at for identity, state in states.items()}

        identity, is_new = await id_now(RUNS, tenant_id, key, find=find, now=self._clock.now())
        if is_new:
            await self._starter.start_once(prepared.with_id(identity))
        # Compared after a start, too: another call with the same key and other parameters may have been first.
        await self._refuse_another(prepared, identity)
        return identity

    async def _refuse_another(self, prepared: PreparedRun, identity: str) -> None:
        led = self._store.led_runs.find(prepared.run.tenant_id, identity)
        run = led.run if led else await self._store.find_run(prepared.run.tenant_id, identity)
        if run is None:
            return
        # Words are relative to the time when the run began: `yesterday`, sent again after midnight, means the same day.
        meant, known = prepared.parameters_seen_from(run.started_at), dict(run.parameters)
        # A value that neither call gave is a default, and the template's default may have changed since.
        names = known.keys() | {name for name in prepared.given if name in meant}
        if run.pipeline_id != prepared.run.pipeline_id or any(meant.get(name) != known.get(name) for name in names):
            raise key_reused("another pipeline or other parameters")
