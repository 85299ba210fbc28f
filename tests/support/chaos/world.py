"""The suite as real processes: several executors and schedulers, a link in front of each service, a proxy in front of BigQuery."""

import re
import shutil
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from localcloud.processes.process import ProcessFailed
from localcloud.settings import SERVICES, LocalSettings
from localcloud.stack import Stack
from services.platform.settings import REPOSITORY
from tests.conftest import CACHE
from tests.support.chaos.links import Link
from tests.support.chaos.statements import ChaosBigQuery
from tests.support.strict_bigquery import strict_bigquery
from tests.system.tenants import Suite

LEASE = 10
"""Seconds; renewed every five, which a busy machine still manages."""
RESTART_SECONDS = 180.0
RELOAD = 1
"""Seconds between two looks at the certificates."""
DEADLINE = 60
"""Seconds that a run may take, instead of half an hour: a row that outlived its reservation is ended after it."""
SECONDS = {
    "BIGQUERY_DEADLINE": "8",
    "BIGQUERY_SCRIPT": "20",
    "KMS_DEADLINE": "2",
    "PEER_DEADLINE": "20",
    "RESERVE_GATHER": "0.1",
    "SETTLE_GATHER": "0.5",
    "JOURNAL_GATHER": "0.5",
    "POLL": "1",
    "RUN_WAIT": "60",
    "TLS_RELOAD": f"{RELOAD}",
    "RETRY_BASE": "1",
    "RETRY_CAP": "4",
}
MANY = "10000"
ROOM = "2"
"""Runs that work at a time in an executor: more would only wait for the emulator, and lose their leases over it."""
MOVED_CLOCK = Path(__file__).with_name("moved_clock")
TIMEOUT = re.compile(r"(timeout_seconds: )(\d+)")


@dataclass(frozen=True, kw_only=True)
class World:
    """A suite that is up, and everything by which it can be hurt."""

    stack: Stack
    bigquery: ChaosBigQuery
    links: Mapping[str, Link]
    """By what is behind: `kms`, `storage`, the services' processes, and `gateway-{service}`, by which the gateway comes to all of them."""
    processes: tuple[str, ...]
    """All of them but the emulators: `auth`, `executor`, `executor-1`, ..., `gateway`."""
    ahead: Mapping[str, Path]
    """The file that says how far a service's clock is ahead, by process."""
    busy: set[str] = field(default_factory=set)
    """Processes that a fault has taken."""
    guard: threading.Lock = field(default_factory=threading.Lock)
    restarting: Mapping[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    @property
    def suite(self) -> Suite:
        """As its callers see it."""
        return Suite(local=self.stack.settings, env=self.stack.env)

    @property
    def spool(self) -> Path:
        """Where executors buffer what they read."""
        return self.stack.settings.state_dir / "spool"

    def now(self) -> datetime:
        """The time of the services' clocks, one of which may be moved for a while."""
        return datetime.now(UTC) + timedelta(seconds=min(float(path.read_text() or 0) for path in self.ahead.values()))

    def set_clocks(self, ahead: timedelta) -> None:
        """All services at once."""
        for path in self.ahead.values():
            path.write_text(str(ahead.total_seconds()))

    def restart(self, name: str) -> None:
        """Until it is up: what it needs may be down, too, for a while. Raises ProcessFailed, with what it said last."""
        deadline = time.monotonic() + RESTART_SECONDS
        # Two faults may have hurt one process: each restart stops what the other has just started.
        with self.restarting[name]:
            while True:
                try:
                    self.stack.restart(name)
                except ProcessFailed:
                    if time.monotonic() > deadline:
                        raise
                else:
                    return

    def is_dead(self, name: str) -> bool:
        """It has ended, and was not started again."""
        return self.stack.wait(name, 0) is not None

    def heal(self) -> None:
        """Every process is up and every connection open; emulators first, as the services need them."""
        self.bigquery.slow = 0.0
        for link in self.links.values():
            link.heal()
        for name in ("bigquery", "kms", *self.processes):
            if self.is_dead(name):
                self.restart(name)
            self.stack.kill(name, signal.SIGCONT)


@contextmanager
def chaos_world(state: Path, *, replicas: Mapping[str, int] | None = None, ahead: timedelta = timedelta()) -> Iterator[World]:
    """Starts everything below `state`. `replicas`: processes of a service, where not one. `ahead`: how far the services' clocks are."""
    replicas = {"executor": 2, "scheduler": 2} if replicas is None else replicas
    local = LocalSettings.on_free_ports(state / "state", cache_dir=CACHE, lease_seconds=LEASE, cloud_scheduler=False)
    names = [_process(service, number) for service in SERVICES for number in range(replicas.get(service, 1))]
    clocks = {name: state / "clocks" / name for name in names}
    (state / "clocks").mkdir(parents=True)
    for path in clocks.values():
        path.write_text(str(ahead.total_seconds()))
    bigquery = ChaosBigQuery(upstream=local.address("bigquery"), rate=int(MANY), callers=names)
    with ExitStack() as opened:
        upstreams = {"storage": "bigquery_storage", "kms": "kms", **{name: name for name in SERVICES}}
        upstreams |= {f"gateway-{name}": name for name in SERVICES}
        links = {name: Link(upstreams=[local.address(behind)]) for name, behind in upstreams.items()}
        # The address of a replica is known once it has been started.
        links |= {name: Link(upstreams=[]) for name in names if name not in links}
        for link in links.values():
            opened.enter_context(link.serving())
        opened.enter_context(strict_bigquery(bigquery))
        common = _environment(state, links)
        extra = {name: common | _own(name, bigquery, clocks) for name in SERVICES}
        extra["gateway"] = {f"GATEWAY_{name.upper()}_PORT": str(links[f"gateway-{name}"].port) for name in SERVICES}
        stack = opened.enter_context(Stack(local, auto_restart=False, extra=extra, report=lambda _: None))
        for service in SERVICES:
            for number in range(1, replicas.get(service, 1)):
                address = stack.add_replica(service, extra=_own(_process(service, number), bigquery, clocks))
                links[_process(service, number)].upstreams.append(address)
                links[f"gateway-{service}"].upstreams.append(address)
        yield World(stack=stack, bigquery=bigquery, links=links, processes=(*names, "gateway"), ahead=clocks)


def _process(service: str, number: int) -> str:
    return f"{service}-{number}" if number else service


def _environment(state: Path, links: Mapping[str, Link]) -> dict[str, str]:
    return {
        **{f"CONVERGENCE_{name}_SECONDS": value for name, value in SECONDS.items()},
        **{f"CONVERGENCE_{name.upper()}_ADDRESS": _addresses(name, links) for name in SERVICES},
        "CONVERGENCE_DML_STATEMENTS_PER_10_SECONDS": MANY,
        "CONVERGENCE_MAX_CONCURRENT_RUNS": ROOM,
        "CONVERGENCE_CONFIGS_DIR": str(_impatient_configs(state)),
        "KMS_EMULATOR_HOST": links["kms"].address,
        "BIGQUERY_STORAGE_EMULATOR_HOST": links["storage"].address,
        "PYTHONPATH": str(MOVED_CLOCK),
    }


def _addresses(service: str, links: Mapping[str, Link]) -> str:
    """Of all its processes, for gRPC, which deals out calls among those that are there."""
    return "ipv4:" + ",".join(link.address for name, link in links.items() if name == service or name.startswith(f"{service}-"))


def _own(name: str, bigquery: ChaosBigQuery, clocks: Mapping[str, Path]) -> dict[str, str]:
    return {"BIGQUERY_EMULATOR_HOST": bigquery.url_of(name), "CHAOS_CLOCK": str(clocks[name])}


def _impatient_configs(state: Path) -> Path:
    """The repository's, with shorter timeouts in its templates."""
    folder = state / "configs"
    shutil.copytree(REPOSITORY / "configs", folder)
    for template in folder.glob("*/*/*.yml"):
        template.write_text(TIMEOUT.sub(lambda found: f"{found[1]}{min(int(found[2]), DEADLINE)}", template.read_text()))
    return folder
