"""The setting CONVERGENCE_OIDC."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from services.platform.settings import ServiceSettings

GOOD: dict[str, Any] = {
    "issuer": "https://accounts.google.com",
    "audience": "https://convergence.example.com",
    "rules": [{"role": "scheduler", "email": "jobs@p.iam.gserviceaccount.com"}],
}


def test_it_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVERGENCE_OIDC", json.dumps([GOOD]))
    (trusted,) = ServiceSettings().oidc
    assert (trusted.issuer, trusted.jwks_uri, trusted.groups_claim) == ("https://accounts.google.com", None, "groups")
    assert trusted.rules[0].email == "jobs@p.iam.gserviceaccount.com"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost:9000/path"])
def test_an_issuer_on_this_machine_may_speak_http(url: str) -> None:
    assert ServiceSettings.model_validate({"oidc": [{**GOOD, "issuer": url}]}).oidc[0].issuer == url


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "http://accounts.google.com"},
        {"issuer": "accounts.google.com"},
        {"issuer": "https://accounts.google.com?x=1"},
        {"issuer": "https://user@accounts.google.com"},
        {"jwks_uri": "http://10.0.0.1/keys"},
        {"audience": ""},
        {"rules": []},
        {"rules": [{"role": "scheduler"}]},
        {"rules": [{"role": "owner", "sub": "1"}]},
        {"rules": [{"role": "scheduler", "sub": "1", "mail": "a@b"}]},
        {"clients": []},
    ],
)
def test_a_setting_that_would_let_in_too_many_stops_the_service(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ServiceSettings.model_validate({"oidc": [{**GOOD, **change}]})
