"""Signs webhooks in the format of Standard Webhooks (standardwebhooks.com), so that receivers can use its libraries."""

import base64
import hashlib
import hmac

_ENCODED = "whsec_"


def sign(secret: str, *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of one try. `timestamp` is the time of the try, in seconds since 1970, so that receivers can refuse old ones."""
    digest = hmac.new(_key(secret), f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _key(secret: str) -> bytes:
    """`whsec_` plus Base64 stands for the decoded bytes; any other text for its own bytes. Credentials has checked the format."""
    return base64.b64decode(secret.removeprefix(_ENCODED)) if secret.startswith(_ENCODED) else secret.encode()
