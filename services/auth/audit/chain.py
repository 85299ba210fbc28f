"""How entries are chained and hashed. docs/audit.md states the same, for others who verify. Pure, and without any library."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

FORMAT = "convergence-audit-v1"
NUMBERS = ("count", "seq")
TIMES = ("appended_at", "time")
TEXTS = (
    *("action", "actor_id", "actor_kind", "actor_role", "chain", "client_address", "entry_id", "outcome", "prev_hash", "request_id"),
    *("resource", "user_id"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The end of a chain."""

    chain: str
    seq: int = 0
    """The place of the last entry; 0: there is none."""
    hash: str = ""
    appended_at: datetime | None = None


def hash_of(entry: Mapping[str, Any]) -> str:
    """SHA-256, in lower-case hex, of the entry's JSON in canonical form (RFC 8785): the members `format` and those named above, numbers as
    numbers, times in UTC with six digits after the second, absent text as "". Raises KeyError or TypeError for what is no entry.
    """
    members: dict[str, Any] = {"format": FORMAT}
    members |= {name: int(entry[name]) for name in NUMBERS}
    members |= {name: canonical_time(entry[name]) for name in TIMES}
    members |= {name: _text(entry.get(name)) for name in TEXTS}
    # Of names in ASCII, text and whole numbers, this is the canonical form.
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def canonical_time(moment: datetime) -> str:
    """E.g. `2026-11-26T05:47:28.120000Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def extend(head: Head, entries: Iterable[Mapping[str, Any]], now: datetime) -> tuple[Head, list[dict[str, Any]]]:
    """The entries as they follow `head`, in order, with `seq`, `appended_at`, `prev_hash` and `hash`; and the new head. `appended_at` is
    `now`, but not earlier than the head's, whose process may have another clock.
    """
    at = max(now, head.appended_at or now)
    chained = []
    for entry in entries:
        one = {**entry, "seq": head.seq + 1, "appended_at": at, "prev_hash": head.hash}
        one["hash"] = hash_of(one)
        chained.append(one)
        head = replace(head, seq=one["seq"], hash=one["hash"], appended_at=at)
    return head, chained


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("not text")
    return value
