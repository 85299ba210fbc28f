"""The whole suite behind its gateway."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.settings import LocalSettings
from localcloud.stack import Stack
from tests.conftest import patient
from tests.credentials.samples import Rsa, new_rsa
from tests.e2e.tenants import Suite


@pytest.fixture(scope="session")
def private_key() -> Rsa:
    return new_rsa()


@pytest.fixture(scope="session")
def running(suite: dict[str, str], local: LocalSettings) -> Suite:
    """The run's shared stack, with everything up."""
    return Suite(local=local, env=suite)


@pytest.fixture(scope="session")
def replicated(emulators: LocalSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Suite, list[str]]]:
    """A suite on the run's emulators with a second auth, and a second executor that asks the second auth."""
    ports = {name: getattr(emulators, name) for name in ("bigquery_port", "bigquery_storage_port", "kms_port")}
    state = tmp_path_factory.mktemp("replicas") / "state"
    control = f"tenants_{uuid.uuid4().hex[:8]}"
    settings = LocalSettings.on_free_ports(state, cache_dir=Path(__file__).parents[2] / ".cache", control_dataset=control, **ports)
    parts = ("bootstrap", "auth", "credentials", "scheduler", "executor", "gateway")
    with Stack(settings, only=parts, auto_restart=False, report=print, extra=patient()) as stack:
        second = stack.add_replica("executor", extra={"CONVERGENCE_AUTH_ADDRESS": stack.add_replica("auth")})
        yield Suite(local=settings, env=stack.env), [settings.address("executor"), second]
