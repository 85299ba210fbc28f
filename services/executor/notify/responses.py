"""What a target's answer means: delivered, worth another try, or the end."""

from datetime import datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 60.0
"""Seconds: however long a target asks us to wait."""
AGAIN = frozenset({408, 425, 429})
"""Request Timeout, Too Early, Too Many Requests: below 500, these speak of the moment and not of the request (RFC 9110, 8470, 6585)."""


class NotDelivered(Exception):
    """One try has not worked. `reason` is a word for our log: it holds nothing of the target's but a status."""

    def __init__(self, reason: str, *, again: bool, host: str = "", wait: float = 0.0) -> None:
        """`again`: another try may work, after `wait` seconds at least."""
        super().__init__(reason)
        self.reason, self.again, self.host, self.wait = reason, again, host, wait


def judge_response(status: int, retry_after: str | None, *, now: datetime) -> NotDelivered | None:
    """None for an HTTP answer that says delivered; what else it says for all others. Nobody is redirected: a 3xx is the end."""
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own
        return None
    again = status in AGAIN or status >= 500  # noqa: PLR2004 - HTTP's own
    return NotDelivered(f"answered_{status}", again=again, wait=seconds_of(retry_after, now=now) if again else 0.0)


def judge_reply(code: int) -> NotDelivered:
    """What an SMTP server's refusal says: 4xx speaks of the moment, 5xx does not (RFC 5321, 4.2.1)."""
    return NotDelivered(f"answered_{code}", again=code < 500)  # noqa: PLR2004 - SMTP's own


def seconds_of(retry_after: str | None, *, now: datetime) -> float:
    """A Retry-After header, seconds or a date (RFC 9110, 10.2.3), as seconds from 0 to LONGEST_WAIT; 0 for what cannot be read."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        # Longer ones mean a long time, and some are too long to be read as a number.
        return min(float(text[:9]) if len(text) <= 9 else LONGEST_WAIT, LONGEST_WAIT)  # noqa: PLR2004 - as many digits
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        return 0.0
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_WAIT)
