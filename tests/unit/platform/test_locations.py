"""Names of locations, the keys that belong to them, and where a job is sent."""

import asyncio
import re

import pytest
from google.api_core.exceptions import Forbidden, NotFound
from pydantic import ValidationError

from services.platform.bigquery.jobs import DatasetLocations
from services.platform.identifiers import key_fits, location_name
from services.platform.settings import REPOSITORY, ServiceSettings

TABLES = ("tenant_profiles", "tenant_subscriptions", "tenant_usage_quotas")
"""That views read."""
KEY = "projects/p/locations/{}/keyRings/r/cryptoKeys/k"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("eu", "EU"),
        ("Us", "US"),
        ("EUROPE-WEST1", "europe-west1"),
        ("northamerica-northeast2", "northamerica-northeast2"),
        ("me-west1", "me-west1"),
    ],
)
def test_a_location_is_written_as_bigquery_writes_it(given: str, name: str) -> None:
    assert location_name(given) == name


@pytest.mark.parametrize(
    "given", ["", "europe", "europe-west", "Berlin1", "eu west1", "europe-west1; DROP", "europe_west1", "EU\n", "-west1"]
)
def test_what_is_no_location(given: str) -> None:
    with pytest.raises(ValueError, match="europe-west1"):
        location_name(given)


@pytest.mark.parametrize(
    ("key", "location", "fits"),
    [
        ("europe", "EU", True),
        ("eur4", "EU", True),
        ("us", "US", True),
        ("us-east4", "US", True),
        ("europe-west1", "europe-west1", True),
        ("us", "EU", False),
        ("global", "EU", False),
        ("europe", "europe-west1", False),
        ("europe-west3", "europe-west1", False),
    ],
)
def test_a_key_is_where_the_data_are(key: str, location: str, *, fits: bool) -> None:
    assert key_fits(KEY.format(key), location) is fits


def test_settings_name_a_key_for_each_location() -> None:
    settings = ServiceSettings(location="eu", kms_key=KEY.format("europe"), tenant_locations={"us": KEY.format("us")})
    assert settings.locations == ("EU", "US")
    assert settings.kms_keys == (KEY.format("europe"), KEY.format("us"))
    assert [settings.kms_key_in(location) for location in ("EU", "US", "asia-east1")] == [*settings.kms_keys, KEY.format("europe")]
    for wrong in (
        {"US": KEY.format("global")},
        {"Berlin": KEY.format("europe")},
        {"US": "k"},
        {"US": KEY.format("us") + "/cryptoKeyVersions/1"},
    ):
        with pytest.raises(ValidationError):
            ServiceSettings(tenant_locations=wrong)


class Asked:
    """BigQuery, which knows datasets by name."""

    def __init__(self, there: dict[str, str]) -> None:
        self.there, self.asked = there, list[str]()

    async def __call__(self, dataset: str) -> str:
        self.asked.append(dataset)
        await asyncio.sleep(0)
        if dataset == "p.hidden":
            raise Forbidden("or it may not exist")  # type: ignore[no-untyped-call]
        if dataset not in self.there:
            raise NotFound(dataset)  # type: ignore[no-untyped-call]
        return self.there[dataset]


async def not_found_in(locations: DatasetLocations, dataset: str, location: str) -> None:
    """A job in it, which finds nothing."""
    async with locations.where(dataset) as there:
        assert there == location
        raise NotFound(dataset)  # type: ignore[no-untyped-call]


async def test_a_dataset_is_asked_for_once_and_again_after_it_was_not_found() -> None:
    asked = Asked({"p.a": "EU"})
    locations = DatasetLocations(asked, usual="US", own={"p.control": "asia-east1"})
    assert await asyncio.gather(*(locations.of("p.a") for _ in range(3))) == ["EU"] * 3
    assert (await locations.of("p.control"), await locations.of("p.hidden")) == ("asia-east1", "US")
    assert asked.asked == ["p.a", "p.hidden"]

    for _ in range(2):
        with pytest.raises(NotFound):
            await locations.of("p.b")
    locations.put("p.b", "US")
    assert await locations.of("p.b") == "US"

    asked.there["p.a"] = "europe-west1"  # deleted, and made again
    with pytest.raises(NotFound):
        await not_found_in(locations, "p.a", "EU")
    assert await locations.of("p.a") == "europe-west1"


def test_no_statement_names_two_datasets() -> None:
    """Jobs have one default dataset, and statements name bare tables: so none joins two locations. Views are in one dataset."""
    paths = [*(REPOSITORY / "services").rglob("queries.sql"), *(REPOSITORY / "configs").rglob("*.sql")]
    assert len(paths) > 30
    for path in paths:
        statements = re.sub(r"--[^\n]*|'(?:[^'\\\n]|\\.)*'", "", path.read_text())
        assert set(re.findall(r"`[^`]*`", statements)) <= {f"`${{control}}.{name}`" for name in TABLES}, path
