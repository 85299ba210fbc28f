"""What tests of several folders share. A worker has emulators of its own: tests in it keep out of each other's way by tenant and by
control dataset, and three workers keep two cores busy. A part that is missing fails the tests that need it, it never skips them.
"""

import gc
import os
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import hypothesis
import pytest

from localcloud.certs import mint
from localcloud.processes.environment import emulator_environment
from localcloud.settings import SERVICES, LocalSettings
from localcloud.stack import Stack
from services.platform.access.key_holder import Authenticator
from services.platform.access.sessions.session import SessionAuthenticator
from services.platform.bigquery.client import BigQuery
from services.platform.bootstrap import bootstrap
from services.platform.server import Served, build_server
from services.platform.settings import REPOSITORY, ServiceSettings
from tests.support.grouping import GroupScheduling, heaviest_first
from tests.support.tiers import MARK, LeftOut, mark_long

# A busy machine is slow at drawing examples, too, and that is not what the tests are about.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("quick", parent=hypothesis.settings.get_profile("patient"), max_examples=30)
hypothesis.settings.load_profile("patient")

# Statements of tests are small: they take a third less CPU from one thread of the emulator's.
os.environ.setdefault("LOCALCLOUD_BIGQUERY_THREADS", "1")

CACHE = REPOSITORY / ".cache"
PATIENT = 25.0  # seconds for a statement: a busy machine makes the emulator slow, and that is not what the tests are about
MANY = 10_000  # statements on a table in ten seconds: all tests of a worker share the control tables


def patient() -> dict[str, dict[str, str]]:
    """What makes the services of a stack wait for a slow emulator, and not for more calls: tests make one after the other."""
    settings = {
        "BIGQUERY_DEADLINE_SECONDS": PATIENT,
        "RESERVE_GATHER_SECONDS": 0,
        "SETTLE_GATHER_SECONDS": 0.2,
        "AUDIT_GATHER_SECONDS": 3,
        "DML_STATEMENTS_PER_10_SECONDS": MANY,
    }
    common = {f"CONVERGENCE_{name}": f"{value:g}" for name, value in settings.items()}
    return dict.fromkeys(SERVICES, common)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> GroupScheduling:
    return GroupScheduling(config, log)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(LeftOut(config))
    if config.option.markexpr == f"not {MARK}":
        hypothesis.settings.load_profile("quick")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Marks come before pytest selects by them; the order is that of what is left."""
    mark_long(items)
    yield
    heaviest_first(items)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Python need not look for garbage among all that is imported and collected, over and over: neither meanwhile nor later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSettings]:
    """Where this worker's BigQuery and KMS listen."""
    settings = LocalSettings.on_free_ports(tmp_path_factory.mktemp("emulators") / "state", cache_dir=CACHE)
    with Stack(settings, only=("bigquery", "kms"), report=print):
        yield settings


@pytest.fixture(scope="session")
def aws_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of this worker's S3, STS and IAM. Tests make buckets, users and roles of their own, see tests/support/aws."""
    settings = LocalSettings.on_free_ports(tmp_path_factory.mktemp("aws") / "state", cache_dir=CACHE)
    with Stack(settings, only=("aws",), report=print) as stack:
        yield stack.env["AWS_EMULATOR_HOST"]


def beside(emulators: LocalSettings, state: Path, **settings: object) -> LocalSettings:
    """Settings for a stack of services that use these emulators. Without `control_dataset`, it is the one of any stack."""
    ports = {name: getattr(emulators, name) for name in ("bigquery_port", "bigquery_storage_port", "kms_port")}
    return LocalSettings.on_free_ports(state, cache_dir=CACHE, cloud_scheduler=False, **ports, **settings)


@pytest.fixture(scope="session")
def plain_settings(tmp_path_factory: pytest.TempPathFactory) -> ServiceSettings:
    """Settings for a service inside the test process that asks neither BigQuery nor KMS."""
    certs = tmp_path_factory.mktemp("certs")
    mint(certs)
    return ServiceSettings(listen="127.0.0.1:0", tls_dir=certs)


@pytest.fixture(scope="session")
def service_settings(plain_settings: ServiceSettings, emulators: LocalSettings) -> ServiceSettings:
    """Settings for a service inside the test process: this worker's emulators, certificates, and a control dataset of this worker's own."""
    host = emulator_environment(emulators)
    own = {
        "project": emulators.project,
        "control_dataset": f"tenants_{uuid.uuid4().hex[:8]}",
        "bigquery_emulator_host": host["BIGQUERY_EMULATOR_HOST"],
        "bigquery_storage_emulator_host": host["BIGQUERY_STORAGE_EMULATOR_HOST"],
        "kms_emulator_host": host["KMS_EMULATOR_HOST"],
        "kms_key": emulators.kms_key,
        "bigquery_deadline_seconds": PATIENT,
        "dml_statements_per_10_seconds": MANY,
        "stream_after_seconds": 0.0,  # the emulator takes streamed rows at once; what age changes has tests of its own
    }
    return plain_settings.model_copy(update=own)


@pytest.fixture(scope="session")
async def bq(service_settings: ServiceSettings) -> AsyncIterator[BigQuery]:
    """BigQuery, with this worker's control dataset made."""
    async with BigQuery(service_settings, service="tests") as client:
        await bootstrap(service_settings, client)
        yield client


@pytest.fixture
def tenant_id() -> str:
    """A tenant that no other test uses."""
    return f"t_{uuid.uuid4().hex[:12]}"


@asynccontextmanager
async def serving(
    settings: ServiceSettings,
    *,
    name: str,
    authenticator: Authenticator,
    served: Sequence[Served],
    sessions: SessionAuthenticator | None = None,
) -> AsyncIterator[str]:
    """A service inside the test process, with all the steps around its calls; gives its address."""
    built = build_server(settings, name=name, authenticator=authenticator, served=served, sessions=sessions)
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
