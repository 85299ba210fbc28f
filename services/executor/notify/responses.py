"""Classifies a target's response: delivered, retry, or final."""

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from services.platform.errors import ConvergenceError

LONGEST_WAIT = 60.0
"""Seconds: the longest Retry-After that is honoured."""
AGAIN = frozenset({408, 425, 429})
"""Request Timeout, Too Early, Too Many Requests: statuses below 500 that are temporary (RFC 9110, 8470, 6585)."""


@dataclass(kw_only=True, slots=True)
class Attempt:
    """The progress of one try, filled in as it proceeds."""

    set_at: datetime | None = None
    """When the target was stored; None: it has not been opened yet, or it is not a stored target."""
    http_status: int = 0
    """The target's status; 0: no answer yet."""


class NotDelivered(Exception):
    """One try failed. `reason` is a word for our log; of the target it contains at most a status."""

    def __init__(self, reason: str, *, again: bool, host: str = "", wait: float = 0.0, our_error: ConvergenceError | None = None) -> None:
        """`again`: another try may succeed, after `wait` seconds at least. `our_error`: the target was not even opened."""
        super().__init__(reason)
        self.reason, self.again, self.host, self.wait, self.our_error = reason, again, host, wait, our_error


def judge_response(status: int, retry_after: str | None, *, now: datetime) -> NotDelivered | None:
    """None for an HTTP status that means delivered, else the error. Redirects are not followed: a 3xx is final."""
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own
        return None
    again = status in AGAIN or status >= 500  # noqa: PLR2004 - HTTP's own
    return NotDelivered(f"answered_{status}", again=again, wait=seconds_of(retry_after, now=now) if again else 0.0)


def judge_reply(code: int) -> NotDelivered:
    """The error for an SMTP server's refusal: 4xx is temporary, 5xx final (RFC 5321, 4.2.1)."""
    return NotDelivered(f"answered_{code}", again=code < 500)  # noqa: PLR2004 - SMTP's own


def seconds_of(retry_after: str | None, *, now: datetime) -> float:
    """A Retry-After header, seconds or a date (RFC 9110, 10.2.3), as seconds from 0 to LONGEST_WAIT; 0 if it cannot be parsed."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        # A longer text is a very long time, perhaps too long to parse as a number.
        return min(float(text[:9]) if len(text) <= 9 else LONGEST_WAIT, LONGEST_WAIT)  # noqa: PLR2004 - as many digits
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        return 0.0
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_WAIT)
