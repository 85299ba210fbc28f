"""By what tenants are listed, and what nothing may change any more."""

import pytest

from services.auth.tenants.spec import SEARCH_LENGTH, check_filter, refuse_offboarded
from services.platform.errors import FailedPrecondition, InvalidArgument


def test_tenants_are_listed_by_every_status_and_by_none() -> None:
    for status in ("", "ACTIVE", "INACTIVE", "SUSPENDED", "OFFBOARDED"):
        check_filter(status, "x" * SEARCH_LENGTH)
    for field, status, search in (("status", "active", ""), ("status", "CLOSED", ""), ("search", "", "x" * (SEARCH_LENGTH + 1))):
        with pytest.raises(InvalidArgument) as refused:
            check_filter(status, search)
        assert refused.value.field == field


def test_only_an_offboarded_tenant_is_final() -> None:
    for status in ("ACTIVE", "INACTIVE", "SUSPENDED"):
        refuse_offboarded("acme", status)
    with pytest.raises(FailedPrecondition) as refused:
        refuse_offboarded("acme", "OFFBOARDED")
    assert (refused.value.reason, refused.value.metadata) == ("TENANT_OFFBOARDED", {"tenant_id": "acme"})
