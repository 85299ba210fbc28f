"""One local stack for the whole run, shared by all workers; tests keep out of each other's way by tenant and by control dataset.

The process that runs pytest starts it, in the background: a test waits only for the parts it asks for. A part that is missing fails the
tests that need it, it never skips them.
"""

import json
import os
import shutil
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import hypothesis
import pytest

from localcloud.certs import mint
from localcloud.processes.environment import emulator_environment, read_env_file
from localcloud.processes.suite import make_process
from localcloud.settings import SERVICES, LocalSettings
from localcloud.stack import Stack
from services.platform.access import Authenticator
from services.platform.bigquery import BigQuery
from services.platform.bootstrap import bootstrap
from services.platform.server import Served, build_server
from services.platform.settings import ServiceSettings
from tests.grouping import GroupScheduling, heaviest_first

# A busy machine is slow at drawing examples, too, and that is not what the tests are about.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

# Statements of tests are small: they take a third less CPU from one thread of the emulator's.
os.environ.setdefault("LOCALCLOUD_BIGQUERY_THREADS", "1")

SHARED = "CONVERGENCE_TEST_STACK"
PATIENT = 25.0  # seconds for a statement: a busy machine makes the emulator slow, and that is not what the tests are about
START_SECONDS = 90.0


class SharedStack:
    """The run's stack, started in a thread of the process that runs pytest."""

    def __init__(self) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="convergence-test-"))
        cache = Path(__file__).parents[1] / ".cache"
        self.settings = LocalSettings.on_free_ports(self.state, cache_dir=cache, sample_rows=200, cloud_scheduler=False)
        self._stack = Stack(self.settings, report=_quiet, extra=patient())
        self._thread = threading.Thread(target=self._start, name="stack")
        os.environ[SHARED] = self.settings.model_dump_json()
        self._thread.start()

    def _start(self) -> None:
        try:
            self._stack.start()
        except Exception:  # noqa: BLE001 - whatever it was, the tests that need the stack tell it
            (self.state / "failed").write_text(traceback.format_exc())

    def stop(self) -> None:
        self._thread.join()
        self._stack.stop()
        shutil.rmtree(self.state, ignore_errors=True)
        os.environ.pop(SHARED, None)


_started: list[SharedStack] = []


def patient() -> dict[str, dict[str, str]]:
    """What makes the services of a stack wait for a slow emulator, and not for more calls: tests make one after the other."""
    settings = {"CONVERGENCE_BIGQUERY_DEADLINE_SECONDS": str(PATIENT), "CONVERGENCE_RESERVE_GATHER_SECONDS": "0"}
    return dict.fromkeys(SERVICES, settings)


def _quiet(message: str) -> None:
    """Tests kill parts on purpose."""


def pytest_configure(config: pytest.Config) -> None:
    parallel = getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput")
    if parallel and not config.option.collectonly:
        _started.append(SharedStack())


def pytest_unconfigure(config: pytest.Config) -> None:
    while _started:
        _started.pop().stop()


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> GroupScheduling:
    return GroupScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        heaviest_first(items)


def wait_for(ready: Callable[[], object], what: str, seconds: float = START_SECONDS) -> None:
    """Returns when `ready()` is true; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.05)


def _wait_for_part(settings: LocalSettings, part: str) -> None:
    failed, lacks = settings.state_dir / "failed", make_process(settings, part, admin_key="").ready

    def ready() -> bool:
        if failed.exists():
            pytest.fail(f"the shared stack did not start:\n{failed.read_text()}")
        return lacks is not None and lacks() is None

    wait_for(ready, f"the start of {part}")


@pytest.fixture(scope="session")
def local() -> LocalSettings:
    """Where the run's stack listens. Nothing is waited for yet."""
    if SHARED not in os.environ:
        _started.append(SharedStack())
    return LocalSettings.model_validate(json.loads(os.environ[SHARED]))


@pytest.fixture(scope="session")
def emulators(local: LocalSettings) -> LocalSettings:
    """The stack's settings, with BigQuery and KMS answering."""
    for part in ("bigquery", "kms"):
        _wait_for_part(local, part)
    return local


@pytest.fixture(scope="session")
def suite(local: LocalSettings) -> dict[str, str]:
    """The whole suite is up: GATEWAY_URL, ADMIN_API_KEY and the emulators' addresses."""
    _wait_for_part(local, "gateway")
    wait_for(local.env_file.exists, "the end of the stack's start")
    return read_env_file(local.env_file)


@pytest.fixture(scope="session")
def service_settings(emulators: LocalSettings, tmp_path_factory: pytest.TempPathFactory) -> ServiceSettings:
    """Settings for a service inside the test process: the run's emulators, certificates, and a control dataset of this worker's own."""
    certs = tmp_path_factory.mktemp("certs")
    mint(certs)
    host = emulator_environment(emulators)
    return ServiceSettings(
        listen="127.0.0.1:0",
        tls_dir=certs,
        project=emulators.project,
        control_dataset=f"tenants_{uuid.uuid4().hex[:8]}",
        bigquery_emulator_host=host["BIGQUERY_EMULATOR_HOST"],
        bigquery_storage_emulator_host=host["BIGQUERY_STORAGE_EMULATOR_HOST"],
        kms_emulator_host=host["KMS_EMULATOR_HOST"],
        kms_key=emulators.kms_key,
        bigquery_deadline_seconds=PATIENT,
        stream_after_seconds=0,  # the emulator takes streamed rows at once; what age changes has tests of its own
    )


@pytest.fixture(scope="session")
async def bq(service_settings: ServiceSettings) -> AsyncIterator[BigQuery]:
    """BigQuery, with this worker's control dataset made."""
    async with BigQuery(service_settings, service="tests") as client:
        await bootstrap(service_settings, client)
        yield client


@pytest.fixture
def tenant_id() -> str:
    """A tenant nobody else uses."""
    return f"t_{uuid.uuid4().hex[:12]}"


@asynccontextmanager
async def serving(settings: ServiceSettings, *, name: str, authenticator: Authenticator, served: Sequence[Served]) -> AsyncIterator[str]:
    """A service inside the test process, with all the steps around its calls; gives its address."""
    built = build_server(settings, name=name, authenticator=authenticator, served=served)
    await built.server.start()
    try:
        yield f"127.0.0.1:{built.port}"
    finally:
        await built.server.stop(None)


def channel_as(settings: ServiceSettings, *, caller: str, peer: str, address: str) -> grpc.aio.Channel:
    """A plain mTLS channel to `peer` with the certificate of `caller`: errors stay gRPC's own."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=(settings.tls_dir / "ca.pem").read_bytes(),
        private_key=(settings.tls_dir / f"{caller}.key").read_bytes(),
        certificate_chain=(settings.tls_dir / f"{caller}.pem").read_bytes(),
    )
    options = [("grpc.ssl_target_name_override", f"{peer}.convergence.internal")]
    return grpc.aio.secure_channel(address, credentials, options=options)
