"""One BigQuery and one KMS for all tests in this folder."""

from collections.abc import Iterator

import pytest

from localcloud.settings import LocalSettings
from localcloud.stack import Stack


@pytest.fixture(scope="session")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Real processes. A test that stops one starts it again."""
    with Stack(LocalSettings.on_free_ports(tmp_path_factory.mktemp("emulators")), only=("bigquery", "kms")) as started:
        yield started
