"""The whole suite behind its gateway."""

import pytest

from localcloud.settings import LocalSettings
from tests.credentials.samples import Rsa, new_rsa
from tests.e2e.tenants import Suite


@pytest.fixture(scope="session")
def private_key() -> Rsa:
    return new_rsa()


@pytest.fixture(scope="session")
def running(suite: dict[str, str], local: LocalSettings) -> Suite:
    """The run's shared stack, with everything up."""
    return Suite(local=local, env=suite)
