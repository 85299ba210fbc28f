"""Which locations a tenant may be given, and what a refused change says."""

import pytest

from services.auth.tenants.location import check_location, refuse_move
from services.platform.errors import FailedPrecondition, InvalidArgument

ALLOWED = ("US", "EU", "europe-west1")


def test_a_location_is_one_of_those_offered() -> None:
    assert [check_location(given, ALLOWED) for given in ("", "eu", "Europe-West1", "US")] == [None, "EU", "europe-west1", "US"]


@pytest.mark.parametrize("given", ["europe-west3", "Berlin", " EU", "EU`; DROP"])
def test_another_names_those_offered(given: str) -> None:
    with pytest.raises(InvalidArgument, match="EU, US, europe-west1") as refused:
        check_location(given, ALLOWED)
    assert refused.value.field == "location"


def test_a_move_says_what_to_do() -> None:
    refuse_move("acme", "EU", "EU")
    with pytest.raises(FailedPrecondition, match=r"is in EU.*Leave location out, or send EU.*in US.*another tenant_id") as refused:
        refuse_move("acme", "EU", "US")
    assert (refused.value.reason, refused.value.metadata) == ("LOCATION_FIXED", {"tenant_id": "acme", "location": "EU"})
