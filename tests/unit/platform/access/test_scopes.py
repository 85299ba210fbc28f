"""Scopes of API keys: as issued, and a default that new scopes do not extend."""

import pytest

from services.platform.access.scopes import DEFAULT_SCOPES, SCOPES, may


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_without_scopes_may_do_what_the_flows_need_and_one_with_scopes_just_those(scope: str) -> None:
    assert may(scope, ()) == (scope in DEFAULT_SCOPES)
    assert may(scope, (scope,))
    assert not may(scope, tuple(set(SCOPES) - {scope}))
    assert may("", (scope,))


def test_a_scope_that_is_invented_later_is_never_implied() -> None:
    assert not may("invoices:pay", ())
    assert may("invoices:pay", ("invoices:pay",))
    assert {"credentials:write", "pipelines:run", "runs:read", "schedules:write"} == DEFAULT_SCOPES
