"""Which Slack and webhook targets are accepted."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.credentials.payloads import PayloadRules, to_plaintext
from services.credentials.payloads.target_rules import TargetRules
from services.credentials.providers import Provider
from services.platform.errors import InvalidArgument
from services.platform.settings import ServiceSettings
from tests.support.credentials.samples import SLACK, WEBHOOK


@pytest.mark.parametrize(
    "url",
    [
        *("https://hooks.slack.com/services/T0/B0/x", "https://example.com", "https://example.com/", "https://example.com?a=b&c=%20"),
        *("https://localhost:8443/hook", "https://a-b.example.co.uk:1/~x/(y);z", "https://xn--bcher-kva.xn--p1ai/", "https://3m.com/x"),
    ],
)
def test_https_addresses_are_sealed_as_sent(url: str) -> None:
    assert json.loads(to_plaintext(Provider.SLACK, {"webhook_url": url})) == {"webhook_url": url}
    assert json.loads(to_plaintext(Provider.WEBHOOK, WEBHOOK | {"url": url})) == WEBHOOK | {"url": url}


@pytest.mark.parametrize(
    "url",
    [
        *(None, "", 7.0, "http://example.com/", "HTTP://example.com/", "ftp://example.com", "https://", "https:///x", "example.com/hook"),
        *("https://user@example.com/", "https://user:pw@example.com/", "https://example.com@evil.example/", "https://example.com/#x"),
        *(
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://[::1]/",
            "https://[fd20:ce::254]/",
        ),
        *("https://example.com/a b", "https://example.com/\r\nHost: x", "https://example.com\\@evil.example/", "https://exämple.com/"),
        *(
            "https://example.com:999999/",
            "https://example.com:/",
            "https://-a.example/",
            "https://a..example/",
            "https://example.com/" + "x" * 2048,
        ),
    ],
)
def test_other_addresses_are_refused(url: Any) -> None:
    for provider, sent, field in (
        (Provider.SLACK, {"webhook_url": url}, "credentials.webhook_url"),
        (Provider.WEBHOOK, WEBHOOK | {"url": url}, "credentials.url"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            to_plaintext(provider, sent)
        assert caught.value.field == field


@given(
    st.one_of(
        st.binary(min_size=24, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode()),
        st.text("!~aZ09", min_size=16, max_size=256),
    )
)
def test_signing_secrets_that_are_long_enough(secret: str) -> None:
    assert json.loads(to_plaintext(Provider.WEBHOOK, WEBHOOK | {"signing_secret": secret}))["signing_secret"] == secret


@pytest.mark.parametrize(
    "secret",
    [
        *(None, "", 7.0, "fifteen-letters", "sixteen letters!", "x" * 257, "sixteen-le\nters!", "sëcret-sëcret-sëcret"),
        *("whsec_", "whsec_" + base64.b64encode(bytes(23)).decode(), "whsec_not-base-64-not-base-64-not-base-64", "whsec_" + "A" * 33),
    ],
)
def test_other_signing_secrets_are_refused(secret: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        to_plaintext(Provider.WEBHOOK, WEBHOOK | {"signing_secret": secret})
    assert caught.value.field == "credentials.signing_secret"


@pytest.mark.parametrize(("provider", "sent"), [(Provider.SLACK, SLACK | {"channel": "x"}), (Provider.WEBHOOK, WEBHOOK | {"secret": "x"})])
def test_unknown_keys_are_refused(provider: Provider, sent: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="unknown key"):
        to_plaintext(provider, sent)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "a.localhost", "metadata", "metadata.google.internal", "printer.local", "kubernetes.default.svc"),
        *("auth.default.svc.cluster.local", "router.home.arpa", "db.corp", "x.intranet", "a.lan", "a.home", "a.test", "a.onion"),
    ],
)
def test_hosts_inside_a_network_are_refused_when_they_are_set(host: str) -> None:
    for provider, sent in (
        (Provider.SLACK, {"webhook_url": f"https://{host}/x"}),
        (Provider.WEBHOOK, WEBHOOK | {"url": f"https://{host}/x"}),
    ):
        with pytest.raises(InvalidArgument, match="public internet") as caught:
            PayloadRules().to_plaintext(provider, sent)
        assert "/x" not in caught.value.message, "it is a secret"


@pytest.mark.parametrize("port", ["0", "1", "22", "80", "8443", "65535"])
def test_only_allowed_ports_are_taken(port: str) -> None:
    sent = {"webhook_url": f"https://hooks.example.com:{port}/x"}
    with pytest.raises(InvalidArgument, match="Use 443; without one"):
        PayloadRules().to_plaintext(Provider.SLACK, sent)
    more = PayloadRules(targets=TargetRules(ports=frozenset({443, int(port)})))
    assert more.to_plaintext(Provider.SLACK, sent) == to_plaintext(Provider.SLACK, sent)


@pytest.mark.parametrize("url", ["https://hooks.slack.com/services/T0/B0/x", "https://example.com:443/", "https://internal.example.com?x"])
def test_hosts_on_the_internet_are_taken(url: str) -> None:
    assert PayloadRules().to_plaintext(Provider.SLACK, {"webhook_url": url}) == to_plaintext(Provider.SLACK, {"webhook_url": url})


def test_on_a_laptop_any_host_and_port_is_taken() -> None:
    laptop = PayloadRules(targets=TargetRules.of(ServiceSettings(notify_allow_private_targets=True)))
    assert laptop.to_plaintext(Provider.SLACK, {"webhook_url": "https://localhost:8443/x"})
