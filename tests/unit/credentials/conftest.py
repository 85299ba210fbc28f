"""A key to seal."""

import pytest

from tests.support.credentials.samples import Rsa, new_rsa


@pytest.fixture(scope="session")
def rsa() -> Rsa:
    return new_rsa()
