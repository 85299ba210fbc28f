"""`Idempotency-Key`: the same key of a tenant starts one run within 24 hours, however often and wherever it is sent.

Run id = UUIDv5(tenant, n, key), where n counts the 24 h windows in which the key was used. So all calls with the key ask for the same run,
and `RunStarter.start_once` starts it once.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import grpc

from services.executor.runs.prepared import PreparedRun
from services.executor.runs.start import RunStarter
from services.executor.store import Store
from services.platform.clock import Clock
from services.platform.errors import InvalidArgument

HEADER: Final = "Idempotency-Key"
WINDOW = timedelta(hours=24)
LENGTH = 255
LOOKUP_PAGE = 32
"""Ids that are looked up at once; a key is rarely used in so many windows."""
_NAMESPACE: Final = UUID("7c1d94f2-5f0b-5e0e-9a53-2b8f5a4f61d7")


def key_of(context: grpc.aio.ServicerContext[Any, Any]) -> str | None:
    """The call's key; None if it has none. Raises InvalidArgument if it is too long or not printable."""
    given = [value for name, value in context.invocation_metadata() or () if name == HEADER.lower()]
    if not given:
        return None
    key = given[-1]
    if not isinstance(key, str) or not 0 < len(key) <= LENGTH or not key.isprintable():
        raise InvalidArgument(HEADER, f"use 1 to {LENGTH} printable characters, e.g. a UUID.")
    return key


def run_ids(tenant_id: str, key: str, first: int = 0) -> Sequence[str]:
    """A page of the key's run ids, from window number `first` (from 0) on."""
    return [str(uuid5(_NAMESPACE, f"{tenant_id}|{use}|{key}")) for use in range(first, first + LOOKUP_PAGE)]


class IdempotentStarts:
    """Starts runs with idempotency keys."""

    def __init__(self, starter: RunStarter, store: Store, clock: Clock) -> None:
        self._starter, self._store, self._clock = starter, store, clock

    async def start(self, prepared: PreparedRun, key: str | None) -> str:
        """The id of the key's run, which is started unless it was started in the last 24 hours; without a key it is always started. Raises
        as `RunStarter.start` does, and InvalidArgument if the key was used for another run. A refused start does not use up the key.
        """
        if key is None:
            await self._starter.start(prepared)
            return prepared.run.pipeline_logging_id
        identity, is_new = await self._place(prepared.run.tenant_id, key)
        if is_new:
            await self._starter.start_once(prepared.with_id(identity))
        # Also after a start: another call of the same key, with other parameters, may have been first.
        await self._refuse_another(prepared, identity)
        return identity

    async def _place(self, tenant_id: str, key: str) -> tuple[str, bool]:
        """The id that the key means now, and whether no run has it yet."""
        first = 0
        while True:
            ids = run_ids(tenant_id, key, first)
            states = await self._store.run_states(tenant_id, ids)
            if ids[-1] not in states:
                break
            first += LOOKUP_PAGE
        used = [one for one in ids if one in states]
        if used and self._clock.now() - states[used[-1]].started_at < WINDOW:
            return used[-1], False
        return ids[len(used)], True

    async def _refuse_another(self, prepared: PreparedRun, identity: str) -> None:
        run = await self._store.find_run(prepared.run.tenant_id, identity)
        if run is None:
            return
        # Relative to the moment when the run began: `yesterday` sent again after midnight means the same day.
        meant, known = prepared.parameters_seen_from(run.started_at), dict(run.parameters)
        # A value that neither call gave is a default, and the template's default may have changed since.
        names = known.keys() | {name for name in prepared.given if name in meant}
        if run.pipeline_id != prepared.run.pipeline_id or any(meant.get(name) != known.get(name) for name in names):
            raise InvalidArgument(HEADER, "was used for another pipeline or other parameters in the last 24 hours. Use a new key.")
