"""A crowd of tenants and the whole suite as real processes: services -> a proxy as strict as BigQuery -> the emulator."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from os import environ

import pytest

from benchmarks.crowd import Member, new_crowd, settle_in
from benchmarks.whole_stack import PATIENT, WholeStack, whole_stack
from localcloud.settings import SERVICES, LocalSettings
from tests.conftest import beside
from tests.support.strict_bigquery import StrictBigQuery, strict_bigquery

LARGE = "CONVERGENCE_LOAD_TENANTS"
TENANTS = int(environ.get(LARGE, "5"))
"""Each makes five calls. 200 are a thousand calls, which take minutes on a small machine."""


@dataclass(kw_only=True)
class Gate(StrictBigQuery):
    """Also holds back the work of runs, while it is closed: so long no slot comes free. With `rules` off it only does that."""

    rules: bool
    opened: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def statement(self, sql: str, dataset: str) -> Iterator[None]:
        if "'own_row'" in sql:
            self.opened.wait()
        with super().statement(sql, dataset) if self.rules else nullcontext():
            yield


@dataclass(frozen=True, kw_only=True)
class Load:
    """A suite that is up, and who calls it."""

    whole: WholeStack
    gate: Gate
    crowd: list[Member]


@dataclass(frozen=True, kw_only=True)
class World:
    """What the crowd meets."""

    auths: int
    strict: bool


WORLDS = {"two auths, as BigQuery is": World(auths=2, strict=True)}
if LARGE in environ:
    # What holds where BigQuery is strict holds on the plain emulator; there a crowd is faster, so that it can be larger.
    WORLDS["one auth, the emulator"] = World(auths=1, strict=False)


@pytest.fixture(scope="package", params=list(WORLDS.values()), ids=list(WORLDS))
def load(request: pytest.FixtureRequest, emulators: LocalSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """Where it is strict, every seventh statement that changes something loses its answer."""
    world: World = request.param
    state = tmp_path_factory.mktemp("load")
    local = beside(emulators, state / "state", control_dataset=f"load_{world.auths}")
    gate = Gate(upstream=local.address("bigquery"), rules=world.strict, lose_every=7 * world.strict, longest_delay=0.05 * world.strict)
    with ExitStack() as stack:
        stack.enter_context(strict_bigquery(gate))
        whole = stack.enter_context(
            whole_stack(
                state,
                auths=world.auths,
                settings=local,
                extra={**PATIENT, "BIGQUERY_EMULATOR_HOST": gate.url},
                parts=("bootstrap", *SERVICES, "gateway"),
            )
        )
        stack.callback(gate.opened.set)
        crowd = new_crowd(TENANTS)
        asyncio.run(settle_in(crowd, whole.settings))
        yield Load(whole=whole, gate=gate, crowd=crowd)
