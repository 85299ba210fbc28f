"""What a file leaves behind in BigQuery goes with it."""

from collections.abc import Iterator

import pytest

from services.platform.bigquery.client import BigQuery
from services.platform.settings import ServiceSettings
from tests.support.leftovers import dropping_what_is_new


@pytest.fixture(scope="module", autouse=True)
def tidied(request: pytest.FixtureRequest) -> Iterator[None]:
    """Drops the datasets that the tests of this file have made, tenants' and control datasets, but not what others use after it."""
    if not any("bq" in getattr(item, "fixturenames", ()) for item in request.session.items if item.path == request.path):
        yield
        return
    bq: BigQuery = request.getfixturevalue("bq")
    settings: ServiceSettings = request.getfixturevalue("service_settings")
    with dropping_what_is_new(bq.client, settings.project):
        yield
