"""Targets of notifications. Their addresses are secrets: the URL of a Slack webhook is enough to write to its channel.

`target_rules` says which hosts and ports are allowed. The IP addresses behind a name are checked on delivery (the executor's `notify`),
because DNS changes.
"""

import re
from collections.abc import Mapping
from typing import Any

from services.credentials.payloads.fields import Field, read_fields, refuse_unknown
from services.credentials.payloads.target_rules import URL_TAKES

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PORT = "(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_URL = Field(
    # No user, no password, no fragment, and no IP address in any notation instead of a name; a port is allowed.
    # Plain http to this machine is for a laptop; `target_rules` refuses it elsewhere.
    pattern=re.compile(
        rf"(?=.{{1,2048}}\Z)(?:https://(?:{_LABEL}\.)*(?=[A-Za-z]){_LABEL}|http://(?:localhost|127\.0\.0\.1|\[::1\]))(?::{_PORT})?"
        r"(?:[/?][\x21\x22\x24-\x5b\x5d-\x7e]*)?"
    ),
    takes=URL_TAKES,
)

SLACK_FIELDS = {"webhook_url": _URL}
WEBHOOK_FIELDS = {
    "url": _URL,
    "signing_secret": Field(
        # Standard Webhooks' format, 24 to 65 bytes in Base64; or any other text, used as its own bytes.
        pattern=re.compile(r"whsec_(?:[A-Za-z0-9+/]{4}){8,21}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?|(?!whsec_)[\x21-\x7e]{16,256}"),
        takes="16 to 256 printable characters without spaces, or whsec_ and the Base64 of 24 to 64 random bytes",
    ),
}


def read_slack(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """The fields to encrypt for SLACK. Raises InvalidArgument."""
    refuse_unknown(credentials, SLACK_FIELDS, path="credentials")
    return dict(read_fields(credentials, SLACK_FIELDS, path="credentials"))


def read_webhook(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """The fields to encrypt for WEBHOOK. Raises InvalidArgument."""
    refuse_unknown(credentials, WEBHOOK_FIELDS, path="credentials")
    return dict(read_fields(credentials, WEBHOOK_FIELDS, path="credentials"))
