"""What all stacks share."""

import pytest

from tests.support.credentials.samples import Rsa, new_rsa


@pytest.fixture(scope="session")
def private_key() -> Rsa:
    return new_rsa()
