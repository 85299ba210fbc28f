"""The outcome of a notification, as its tenant sees it, and whether to record it. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from services.executor.notify.notification import NotificationKind

KNOWN_FOR: Final = timedelta(hours=1)
"""The same outcome is recorded again only after this time: a target that gets a message a minute costs a statement an hour."""
_ANSWERED: Final = re.compile(r"answered_(\d{3})")
_SENTENCES: Final = {
    "address_refused": "The host has an address that is not on the public internet, so it is not called.",
    "not_https": "Only https addresses are called.",
    "port_refused": "This installation does not call that port.",
    "target_unreadable": "The stored target cannot be read. Set it again.",
    "seal_broken": "The stored target cannot be read. Set it again.",
    "timeout": "The target did not answer in time.",
    "no_answer": "The target did not answer in time.",
    "ConnectError": "No connection: the host's name is not known, nothing listens there, or its certificate is not valid for the name.",
    "ConnectTimeout": "No connection: the host did not answer in time.",
}


class DeliveryStatus(StrEnum):
    """How a notification ended."""

    DELIVERED = "DELIVERED"
    REFUSED = "REFUSED"
    """The target must not be called, or refused the message for good."""
    FAILED = "FAILED"
    """The target did not answer, or a later try may get another answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The outcome of one notification."""

    tenant_id: str
    kind: NotificationKind
    set_at: datetime
    """When the target that was tried had been stored."""
    status: DeliveryStatus
    problem: str
    """A sentence for the tenant; empty if it was delivered."""
    at: datetime
    """When the last try ended."""


def http_status_of(reason: str) -> int:
    """The HTTP status in a reason of NotDelivered; 0: the target did not answer one."""
    answered = _ANSWERED.fullmatch(reason)
    return int(answered[1]) if answered else 0


def problem_of(reason: str) -> str:
    """A reason of NotDelivered as a sentence for the tenant. Of the target it contains at most the HTTP status."""
    status = http_status_of(reason)
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP's own
        return f"The target answered HTTP {status}. Redirects are not followed: set the address that it leads to."
    if status:
        return f"The target answered HTTP {status}."
    if reason.startswith("broke_"):
        return "Something broke on our side; the operator's log says what."
    return _SENTENCES.get(reason, "The connection broke before the target had answered.")


def is_news(before: Outcome | None, now: Outcome) -> bool:
    """True unless the same outcome of the same target was recorded less than KNOWN_FOR ago."""
    if before is None or (before.set_at, before.status, before.problem) != (now.set_at, now.status, now.problem):
        return True
    return now.at - before.at >= KNOWN_FOR
