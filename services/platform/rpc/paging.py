"""The size of a page, and where the next one begins: the key of this page's last entry. A servicer writes the position into
`next_page_token` and finds it in `page_token`; what callers see is signed, see `page_tokens`.
"""

import json
from datetime import datetime
from typing import Any

from services.platform.errors import InvalidArgument

DEFAULT_SIZE, MAX_SIZE = 50, 200


def page_size(asked: int) -> int:
    """The page size: 0 means the default. Raises InvalidArgument unless it is 0 to 200."""
    if not 0 <= asked <= MAX_SIZE:
        raise InvalidArgument("page_size", f"use 1 to {MAX_SIZE}; 0 means {DEFAULT_SIZE}.")
    return asked or DEFAULT_SIZE


def to_token(moment: datetime, identity: str) -> str:
    """The position after the entry with this key."""
    return json.dumps([moment.isoformat(), identity], ensure_ascii=False)


def from_token(token: str) -> tuple[datetime, str] | None:
    """The entry after which the page begins; None for the first page. Raises InvalidArgument for a position of another kind."""
    if not token:
        return None
    match _read(token):
        case [str(moment_text), str(identity)]:
            try:
                moment = datetime.fromisoformat(moment_text)
            except ValueError:
                raise _not_ours() from None
            if moment.tzinfo is not None:
                return moment, identity
    raise _not_ours()


def to_key_token(key: str) -> str:
    """The position after the entry with this key."""
    return json.dumps([key], ensure_ascii=False)


def from_key_token(token: str) -> str:
    """The key after which the page begins; empty for the first page. Raises InvalidArgument for a position of another kind."""
    if not token:
        return ""
    match _read(token):
        case [str(key)]:
            return key
    raise _not_ours()


def _read(token: str) -> Any:
    try:
        return json.loads(token)
    except (ValueError, RecursionError):
        raise _not_ours() from None


def _not_ours() -> InvalidArgument:
    return InvalidArgument("page_token", "use next_page_token of the page before, unchanged.")
