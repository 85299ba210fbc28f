"""Recognizes a key or a token that was sent in the wrong header. Pure."""

import re
from collections.abc import Mapping

_SECRET = re.compile(r"_api_v1_[0-9A-Za-z]{8}|eyJ[0-9A-Za-z_-]{6,}\.[0-9A-Za-z_-]")
"""Part of an API key of our format (`access.api_keys`), or of a JSON Web Token, whose header is `{"...` in base64."""

SHORTEST = 8
"""Of a credential that is looked for inside of other text: a shorter one may be part of a word."""


def has_secret(value: str, metadata: Mapping[str, str]) -> bool:
    """True if `value` looks like an API key or a JSON Web Token, or if it is, or has in it, one of the call's own credentials, which are in
    its `metadata`.
    """
    token = metadata.get("authorization", "").strip().rpartition(" ")[2]
    own = (metadata.get("x-api-key", ""), metadata.get("x-admin-key", ""), token)
    return _SECRET.search(value) is not None or any(one == value or (one in value and len(one) >= SHORTEST) for one in own if one)
