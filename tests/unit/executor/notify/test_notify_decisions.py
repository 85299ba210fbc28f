"""Decisions of notifications, without I/O: public addresses, responses, signatures."""

import base64
import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_network
from typing import Any

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from services.executor.notify.addresses import is_public
from services.executor.notify.responses import LONGEST_WAIT, judge_reply, judge_response, seconds_of
from services.executor.notify.signature import sign
from services.platform.settings import REPOSITORY

NOW = datetime(2025, 11, 18, 6, 0, tzinfo=UTC)
SPECIAL = [
    IPv4Network(text)
    for text in (
        # IANA IPv4 Special-Purpose Address Registry, "Globally Reachable: False", and multicast.
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.2.0/24"),
        *("192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
]
INSIDE = st.sampled_from(SPECIAL).flatmap(lambda network: st.ip_addresses(network=network))


@pytest.mark.parametrize("address", ["8.8.8.8", "35.186.224.25", "2001:4860:4860::8888", "2a00:1450:4001::5e", "64:ff9b::8.8.8.8"])
def test_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("::1", "::", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::a00:1"),
        *("fe80::1", "fe80::1%eth0", "fc00::1", "fd20:ce::254", "fec0::1", "ff02::1", "ff0e::1", "100::1", "2001:db8::1", "3fff::1"),
        *("2002:7f00:1::", "2002:808:808::", "2001:0:1::1", "4000::1", "", "localhost", "127.1", "0x7f000001", "2130706433"),
    ],
)
def test_whatever_leads_inside_is_not(address: str) -> None:
    """Loopback, link-local, site-local, metadata servers, documentation, multicast, tunnels, and what is no address at all."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("168.63.129.16", "::ffff:168.63.129.16", "64:ff9b::a83f:8110"),  # Azure's host
        *("169.254.169.254", "169.254.170.2", "fd00:ec2::254"),  # AWS, its containers, and over IPv6; also Google, Azure, Oracle
        *("100.100.100.200", "192.0.0.192", "fd20:ce::254"),  # Alibaba, Oracle's older one, Google over IPv6
        *("199.36.153.4", "199.36.153.11", "2600:2d00:2:1000::1", "2600:2d00:2:2000::1"),  # Google's APIs from inside
    ],
)
def test_what_clouds_answer_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


def test_an_operator_s_own_networks_are_not_public() -> None:
    own = (ip_network("8.8.8.0/24"), ip_network("2001:4860::/32"))
    assert [is_public(one, own) for one in ("8.8.8.8", "::ffff:8.8.8.8", "2001:4860:4860::8888", "8.8.4.4")] == [False, False, False, True]


@given(INSIDE)
def test_no_special_ipv4_address_is_public_in_any_dress(address: IPv4Address) -> None:
    mapped, nat64, sixtofour = (IPv6Address((prefix << shift) | int(address) << left) for prefix, shift, left in WRAPPED)
    assert not any(is_public(str(one)) for one in (address, mapped, nat64, sixtofour))


WRAPPED = ((0xFFFF, 32, 0), (0x64FF9B, 96, 0), (0x2002, 112, 80))
"""::ffff:0:0/96, 64:ff9b::/96 and 2002::/16: the prefix, its place, and the IPv4 address's place."""


@given(st.ip_addresses(v=4))
def test_a_wrapped_address_is_what_it_wraps(address: IPv4Address) -> None:
    assert is_public(str(address)) == is_public(f"::ffff:{address}") == is_public(f"64:ff9b::{address}")


@given(st.ip_addresses(v=6))
def test_only_global_unicast_or_what_wraps_a_public_address_is_public(address: IPv6Address) -> None:
    wraps = any(address in ip_network(text) for text in ("::ffff:0:0/96", "64:ff9b::/96"))
    assert not is_public(str(address)) or address in ip_network("2000::/3") or wraps


@pytest.mark.parametrize("status", range(100, 600))
def test_what_an_answer_means(status: int) -> None:
    """2xx is delivered; 408, 425, 429 and 5xx are tried again after what they ask for; all else ends it, redirects too."""
    failure = judge_response(status, "7", now=NOW)
    again = status in {408, 425, 429} or status >= 500
    assert (failure is None) == (200 <= status < 300)
    assert failure is None or (failure.again, failure.wait) == (again, 7.0 if again else 0.0)


@pytest.mark.parametrize(("code", "again"), [(421, True), (450, True), (454, True), (500, False), (535, False), (550, False)])
def test_what_an_smtp_refusal_means(code: int, again: bool) -> None:
    assert judge_reply(code).again is again


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *(
            (None, 0.0),
            ("", 0.0),
            ("soon", 0.0),
            ("-5", 0.0),
            ("1.5", 0.0),
            ("٣", 0.0),
            ("0", 0.0),
            (" 30 ", 30.0),
            ("86400", LONGEST_WAIT),
        ),
        *(("9" * 5000, LONGEST_WAIT), ("Tue, 18 Nov 2025 06:00:20 GMT", 20.0), ("Tue, 18 Nov 2025 05:00:00 GMT", 0.0)),
        *(("Tue, 18 Nov 2025 09:00:00 GMT", LONGEST_WAIT), ("Tue, 18 Nov 2025 06:00:20 -0000", 0.0)),
    ],
)
def test_retry_after_is_read_and_bounded(header: str | None, seconds: float) -> None:
    assert seconds_of(header, now=NOW) == seconds


@given(st.one_of(st.text(), st.integers().map(str), st.datetimes(min_value=datetime(1971, 1, 1)).map(lambda at: format_datetime(at))))  # noqa: DTZ001, PLW0108
def test_no_retry_after_can_break_or_delay_for_long(header: str) -> None:
    assert 0 <= seconds_of(header, now=NOW) <= LONGEST_WAIT


def test_the_signature_is_the_one_that_the_standard_publishes() -> None:
    """The example of Standard Webhooks' own documents and of its libraries' tests."""
    headers = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(min_size=24, max_size=64), st.uuids(), st.dictionaries(st.text(), st.text()))
def test_the_standards_library_accepts_what_is_signed_and_nothing_else(key: bytes, identity: uuid.UUID, payload: dict[str, str]) -> None:
    """Both kinds of secret: Base64 behind `whsec_`, and any text as its own bytes."""
    receiver, body = standardwebhooks.Webhook(key), json.dumps(payload).encode()
    encoded = f"whsec_{base64.b64encode(key).decode()}"
    headers = sign(encoded, message_id=str(identity), timestamp=int(datetime.now(UTC).timestamp()), body=body)
    assert receiver.verify(body, headers) == payload
    for changed in (headers | {"webhook-id": "other"}, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            receiver.verify(body, changed)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        receiver.verify(body + b" ", headers)

    plain = sign("sixteen-letters!", message_id=str(identity), timestamp=int(headers["webhook-timestamp"]), body=body)
    assert standardwebhooks.Webhook(b"sixteen-letters!").verify(body, plain) == payload


def test_an_old_delivery_is_refused_by_the_receiver() -> None:
    """A try carries its own time: what somebody has recorded is worth nothing five minutes later."""
    old = datetime.now(UTC) - timedelta(minutes=6)
    headers = sign("sixteen-letters!", message_id="one", timestamp=int(old.timestamp()), body=b"{}")
    with pytest.raises(standardwebhooks.WebhookVerificationError, match="too old"):
        standardwebhooks.Webhook(b"sixteen-letters!").verify(b"{}", headers)


def test_the_guides_own_lines_verify_a_signature() -> None:
    """docs/notifications.md, taken as it stands."""
    [lines, _] = re.findall(r"```python\n(.+?)```", (REPOSITORY / "docs" / "notifications.md").read_text(), re.DOTALL)
    told: dict[str, Any] = {}
    exec(lines, told)
    now = int(datetime.now(UTC).timestamp())
    for secret in ("sixteen-letters!", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"):
        headers = sign(secret, message_id="one", timestamp=now, body=b"{}")
        assert told["is_ours"](headers, b"{}", secret)
        assert not told["is_ours"](headers, b"{ }", secret)
        assert not told["is_ours"](headers, b"{}", "another-secret-16")
        old = sign(secret, message_id="one", timestamp=now - 301, body=b"{}")
        assert not told["is_ours"](old, b"{}", secret)
