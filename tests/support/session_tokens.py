"""Session tokens that look like ours, for tests with an auth of their own."""

from datetime import datetime, timedelta
from typing import Any

import jwt

from services.platform.access.sessions.shape import ALGORITHM, AUDIENCE, ISSUER, TYPE


def shaped(name: str, now: datetime, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token of id `name` that is good for a minute from `now`, except for what is given; a claim that is None is left out."""
    ends_at = int((now + timedelta(minutes=1)).timestamp())
    ours = {"iss": ISSUER, "aud": AUDIENCE, "exp": ends_at, "jti": name, "tenant": "acme", "key": "k", "scope": "runs:read"}
    said = {key: value for key, value in {**ours, **claims}.items() if value is not None}
    return jwt.encode(said, "secret of a test, which is long enough", algorithm=ALGORITHM, headers=header or {"typ": TYPE})


def name_of(token: str) -> str:
    """The id in a token."""
    return str(jwt.decode(token, options={"verify_signature": False})["jti"])
