"""The whole suite behind its gateway, on the worker's emulators. It is stopped with the last test of this folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.demo.demo_flow import emulated_warehouse
from localcloud.processes.environment import emulator_environment
from localcloud.settings import SERVICES, LocalSettings
from localcloud.stack import Stack
from services.platform.settings import REPOSITORY
from tests.conftest import beside, patient
from tests.support.attacks.world import with_one_role_each
from tests.support.collector import Collector, collecting
from tests.support.leftovers import dropping_what_is_new
from tests.support.operator_accounts import OperatorAccounts
from tests.support.upgrade.old_tables import make_control
from tests.system.tenants import Suite


def configs_of(settings: LocalSettings) -> Path:
    """The suite's own copy of configs/."""
    return settings.state_dir.parent / "configs"


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    """Gets the traces of the suite: of runs, and of calls that ask for it."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="package")
def stack(emulators: LocalSettings, tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Stack]:
    # Jobs may call by identity tokens, too; tests that need it publish the keys.
    settings = beside(emulators, tmp_path_factory.mktemp("suite") / "state", scheduler_oidc=True)
    # A test may add a template, and be notified by http on this machine.
    shutil.copytree(REPOSITORY / "configs", configs_of(settings))
    own = {
        "CONVERGENCE_CONFIGS_DIR": str(configs_of(settings)),
        "CONVERGENCE_TEMPLATE_POLL_SECONDS": "1",
        "CONVERGENCE_NOTIFY_ALLOW_PRIVATE_TARGETS": "true",
        "CONVERGENCE_OTLP_ENDPOINT": collector.endpoint,
    }
    extra = {name: {**waiting, **with_one_role_each(settings), **own} for name, waiting in patient().items()}
    extra["gateway"] = {"GATEWAY_OTLP_ENDPOINT": collector.endpoint, "GATEWAY_TRACE_RATIO": "0"}
    # Its bootstrap finds the tables of an old release: what every test here does, it does over upgraded tables.
    with (
        emulated_warehouse(emulator_environment(settings)["BIGQUERY_EMULATOR_HOST"], settings.project) as client,
        dropping_what_is_new(client, settings.project),
    ):
        make_control(client, f"{settings.project}.{settings.control_dataset}")
        with Stack(settings, only=("bootstrap", *SERVICES, "gateway"), auto_restart=False, report=print, extra=extra) as stack:
            yield stack


@pytest.fixture(scope="package")
def running(stack: Stack) -> Suite:
    """With everything up."""
    return Suite(local=stack.settings, env=stack.env)


@pytest.fixture(scope="package")
def accounts(running: Suite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorAccounts]:
    """The issuer that the services trust: one for all tests, because services look for new keys at most once a minute."""
    local = running.local
    accounts = OperatorAccounts(f"http://{local.address('google_accounts')}", tmp_path_factory.mktemp("google") / "key.pem")
    with accounts.serve(local.host, local.port("google_accounts")), accounts.login.serving():
        yield accounts


@pytest.fixture(scope="package")
def replicated(stack: Stack, running: Suite) -> tuple[Suite, list[str]]:
    """The suite with a second auth, and a second executor that asks the second auth."""
    second = stack.add_replica("executor", extra={"CONVERGENCE_AUTH_ADDRESS": stack.add_replica("auth")})
    return running, [running.local.address("executor"), second]
