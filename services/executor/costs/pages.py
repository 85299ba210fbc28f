"""Pages of an answer that is completely in memory. A page token holds the position and a digest of the answer. So a client never combines
pages of two different answers, whichever processes make them.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

from services.platform.errors import InvalidArgument


class Page[Row](NamedTuple):
    """Some rows, and where the next page begins."""

    rows: Sequence[Row]
    next_token: str
    """Empty on the last page."""


def cut[Row](rows: Sequence[Row], *, size: int, token: str, about: object) -> Page[Row]:
    """The page of `rows` at `token`; empty: the first page. `about`: the question, whose repr is the same in all processes. Raises
    InvalidArgument for a malformed token and for a token of other rows (of another question, or from before a day was published again).
    """
    whole = _digest(rows, about) if token or len(rows) > size else ""
    start = 0
    if token:
        start, digest = _read(token)
        if digest != whole or not start < len(rows):
            raise InvalidArgument(
                "page_token", "belongs to another question, or the costs have changed since the page before. Begin again without it."
            )
    end = start + size
    return Page(rows[start:end], _write(end, whole) if end < len(rows) else "")


def _digest(rows: Sequence[object], about: object) -> str:
    hashed = hashlib.sha256(repr(about).encode())
    for row in rows:
        hashed.update(repr(row).encode())
    return hashed.hexdigest()[:32]


def _write(start: int, digest: str) -> str:
    return json.dumps([start, digest])


def _read(token: str) -> tuple[int, str]:
    try:
        start, digest = json.loads(token)
        if type(start) is not int or start < 1 or not isinstance(digest, str):
            raise ValueError("not ours")
    except (ValueError, TypeError) as error:
        raise InvalidArgument("page_token", "use next_page_token of the page before, unchanged.") from error
    return start, digest
