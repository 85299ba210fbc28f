"""Page tokens: opaque to callers; they hold the time and the id of a page's last entry, or its key alone."""

import base64
import json
from datetime import datetime

from services.platform.errors import InvalidArgument

DEFAULT_SIZE, MAX_SIZE = 50, 200


def page_size(asked: int) -> int:
    """The page size: 0 means the default. Raises InvalidArgument unless it is 0 to 200."""
    if not 0 <= asked <= MAX_SIZE:
        raise InvalidArgument("page_size", f"use 1 to {MAX_SIZE}; 0 means {DEFAULT_SIZE}.")
    return asked or DEFAULT_SIZE


def to_token(moment: datetime, identity: str) -> str:
    """The token of the page after the entry with this key."""
    return base64.urlsafe_b64encode(json.dumps([moment.isoformat(), identity]).encode()).decode()


def from_token(token: str) -> tuple[datetime, str] | None:
    """The entry after which the page begins; None for the first page. Raises InvalidArgument for a malformed token."""
    if not token:
        return None
    try:
        moment_text, identity = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        moment = datetime.fromisoformat(moment_text)
        if moment.tzinfo is None or not isinstance(identity, str):
            raise ValueError("not ours")
    except (ValueError, TypeError) as error:
        raise InvalidArgument("page_token", "use next_page_token of the page before, unchanged.") from error
    return moment, identity


def to_key_token(key: str) -> str:
    """The token of the page after the entry with this key."""
    return base64.urlsafe_b64encode(json.dumps([key]).encode()).decode()


def from_key_token(token: str) -> str:
    """The key after which the page begins; empty for the first page. Raises InvalidArgument for a malformed token."""
    if not token:
        return ""
    try:
        [key] = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        if not isinstance(key, str):
            raise TypeError("not ours")
    except (ValueError, TypeError) as error:
        raise InvalidArgument("page_token", "use next_page_token of the page before, unchanged.") from error
    return key
