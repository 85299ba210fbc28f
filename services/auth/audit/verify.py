"""Verifies entries of the audit log as they were downloaded or exported: no service is asked. Pure."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.auth.audit.chain import NUMBERS, TIMES, Head, hash_of

type Entry = dict[str, Any]


class NotAnEntryError(ValueError):
    """A line that is no entry; the message names it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What was found of one chain."""

    chain: str
    entries: int
    first_seq: int
    """Above 1: older entries are not among those given, e.g. because they were deleted after their time."""
    head: Head
    """The last entry given."""
    problem: str | None
    """The first thing that is wrong, in the order of the chain; None: nothing is."""


def read_entries(lines: Iterable[str]) -> Iterator[Entry]:
    """The entries of a file with one JSON object a line: an entry, or a response of the API with `entries`. Times and numbers may be
    written as the API or BigQuery's exports write them. Raises NotAnEntryError.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
            for entry in found.get("entries", [found]):
                yield _normal(entry)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            what = f"{type(error).__name__}: {error}"
            raise NotAnEntryError(f"line {number} is neither an entry of the audit log nor a page of entries ({what})") from error


def verify(entries: Iterable[Entry], expected: Iterable[Head] = ()) -> list[Verdict]:
    """One verdict a chain, by its name. The entries may come in any order. `expected`: entries known from elsewhere, which must be there:
    without them it cannot be seen that the newest entries are missing, or that a whole chain was written anew.
    """
    chains = defaultdict[str, list[Entry]](list)
    for entry in entries:
        chains[entry["chain"]].append(entry)
    known = defaultdict[str, list[Head]](list)
    for head in expected:
        known[head.chain].append(head)
    return [_verdict(chain, sorted(chains[chain], key=_seq), known[chain]) for chain in sorted({*chains, *known})]


def _verdict(chain: str, entries: list[Entry], expected: list[Head]) -> Verdict:
    problem = next(_problems(entries, expected), None)
    first = _seq(entries[0]) if entries else 0
    head = Head(chain=chain, seq=_seq(entries[-1]), hash=entries[-1]["hash"]) if entries else Head(chain=chain)
    return Verdict(chain=chain, entries=len(entries), first_seq=first, head=head, problem=problem)


def _problems(entries: list[Entry], expected: list[Head]) -> Iterator[str]:
    before: Entry | None = None
    for entry in entries:
        seq = _seq(entry)
        if before is not None and seq == _seq(before):
            yield f"entry {seq} is there twice"
        elif before is not None and seq != _seq(before) + 1:
            yield f"entries {_seq(before) + 1} to {seq - 1} are missing"
        elif before is not None and entry["prev_hash"] != before["hash"]:
            yield f"entry {seq} does not follow entry {seq - 1}: its prev_hash is not that entry's hash"
        elif seq < 1 or (seq == 1 and entry["prev_hash"]):
            yield f"entry {seq} cannot be the first of a chain"
        if entry["hash"] != hash_of(entry):
            yield f"entry {seq} was changed: its fields do not give its hash"
        before = entry
    yield from _unexpected(entries, expected)


def _unexpected(entries: list[Entry], expected: list[Head]) -> Iterator[str]:
    hashes = {_seq(entry): entry["hash"] for entry in entries}
    if entries:
        # The anchor of a chain whose beginning was deleted after its time: its first entry names the one before.
        hashes.setdefault(_seq(entries[0]) - 1, entries[0]["prev_hash"])
    for head in expected:
        if head.seq < min(hashes, default=0):
            yield f"entry {head.seq} is older than those given; the oldest that can be expected of them is entry {min(hashes)}"
        elif hashes.get(head.seq) != head.hash:
            yield f"entry {head.seq} is missing, or has another hash than the expected {head.hash}"


def _seq(entry: Mapping[str, Any]) -> int:
    return int(entry["seq"])


def _normal(found: Mapping[str, Any]) -> Entry:
    entry = dict(found)
    entry["hash"] = entry.pop("entry_hash", None) or entry["hash"]
    entry |= {name: int(entry[name]) for name in NUMBERS}
    entry |= {name: _moment(entry[name]) for name in TIMES}
    entry["prev_hash"] = entry.get("prev_hash") or ""
    if not isinstance(entry["chain"], str) or not isinstance(entry["hash"], str):
        raise TypeError("chain and hash must be text")
    hash_of(entry)
    return entry


def _moment(text: str) -> datetime:
    # The API writes 2026-11-26T05:47:28.120Z, BigQuery 2026-11-26 05:47:28.12 UTC.
    moment = datetime.fromisoformat(text.removesuffix(" UTC"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
