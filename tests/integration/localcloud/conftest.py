"""One BigQuery and one KMS for all tests in this folder."""

from collections.abc import Iterator

import pytest

from localcloud.settings import LocalSettings
from localcloud.stack import Stack


@pytest.fixture(scope="session")
def own_emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Apart from the run's shared ones, because tests here stop them. A test that does starts them again."""
    with Stack(LocalSettings.on_free_ports(tmp_path_factory.mktemp("emulators"), stop_grace=60), only=("bigquery", "kms")) as started:
        yield started
