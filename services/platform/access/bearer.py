"""The token in `Authorization: Bearer ...` (RFC 6750)."""

from collections.abc import Mapping


def bearer_token(metadata: Mapping[str, str]) -> str:
    """The token, unverified; empty if there is none. Other schemes, such as Basic, are none of ours."""
    scheme, _, token = metadata.get("authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
