"""Where notifications of runs go. The addresses are secrets: whoever knows a Slack webhook's can write to its channel.

Which machine a name leads to is judged when something is sent (the executor's `notify`): names move.
"""

import re
from collections.abc import Mapping
from typing import Any

from services.credentials.payloads.fields import Field, read_fields, refuse_unknown

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PORT = "(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_URL = Field(
    # No user, no password, no fragment, and no address instead of a name, however it is written; a port may stand there.
    pattern=re.compile(rf"(?=.{{1,2048}}\Z)https://(?:{_LABEL}\.)*(?=[A-Za-z]){_LABEL}(?::{_PORT})?(?:[/?][\x21\x22\x24-\x5b\x5d-\x7e]*)?"),
    takes="an https address, https://<host name>/<path>, at most 2,048 characters",
)

SLACK_FIELDS = {"webhook_url": _URL}
WEBHOOK_FIELDS = {
    "url": _URL,
    "signing_secret": Field(
        # As Standard Webhooks writes secrets, 24 to 65 bytes in Base64; or any other text, taken as it is.
        pattern=re.compile(r"whsec_(?:[A-Za-z0-9+/]{4}){8,21}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?|(?!whsec_)[\x21-\x7e]{16,256}"),
        takes="16 to 256 printable characters without spaces, or whsec_ and the Base64 of 24 to 64 random bytes",
    ),
}


def read_slack(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """What is sealed for SLACK. Raises InvalidArgument."""
    refuse_unknown(credentials, SLACK_FIELDS, path="credentials")
    return dict(read_fields(credentials, SLACK_FIELDS, path="credentials"))


def read_webhook(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """What is sealed for WEBHOOK. Raises InvalidArgument."""
    refuse_unknown(credentials, WEBHOOK_FIELDS, path="credentials")
    return dict(read_fields(credentials, WEBHOOK_FIELDS, path="credentials"))
