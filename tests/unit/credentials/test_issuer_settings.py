"""An issuer has a URL and a key, or there is none."""

import pytest
from pydantic import ValidationError

from services.credentials.settings import CredentialsSettings

KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"


@pytest.mark.parametrize("given", [{"issuer_url": "https://costs.example.com"}, {"token_signing_key": KEY}])
def test_both_or_neither(given: dict[str, str]) -> None:
    assert CredentialsSettings().issuer_url is None
    with pytest.raises(ValidationError, match="or neither"):
        CredentialsSettings.model_validate(given)
    both = CredentialsSettings(issuer_url="https://costs.example.com", token_signing_key=KEY)
    assert both.token_key_overlap.total_seconds() == 3600


@pytest.mark.parametrize(
    "url",
    [
        "https://costs.example.com/",
        "costs.example.com",
        "https://costs.example.com/a b",
        "https://costs.example.com?x=1",
        "https://u:p@costs.example.com",
        "https://costs.example.com/$(id)",
        "",
    ],
)
def test_the_url_is_one_that_clouds_compare_and_shells_leave_alone(url: str) -> None:
    with pytest.raises(ValidationError):
        CredentialsSettings(issuer_url=url, token_signing_key=KEY)


@pytest.mark.parametrize("url", ["https://costs.example.com", "https://costs.example.com:8443/convergence", "http://127.0.0.1:8080"])
def test_a_path_and_a_port_are_part_of_it(url: str) -> None:
    assert CredentialsSettings(issuer_url=url, token_signing_key=KEY).issuer_url == url
