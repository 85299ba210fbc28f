"""The critical path: which requests of a run stood one after the other. Pure.

Definition. A request comes *after* another if it was sent when, or later than, the other was answered. A *chain* is a set of requests of
which each comes after the one before it. Its length is the sum of its requests' seconds, from sending to answer. The *critical path* of a
set of requests is its longest chain. The *sequential statements* are the jobs on it: statements, scripts and loads.

What is waited for leaves no gaps but our own work between an answer and the next request, so that no other chain is as long; a chain of
requests that happened to come one after the other has gaps in which it waits for something else. That a statement is on the path does not
depend on how fast BigQuery, or the machine, is.

Before the answer: requests that were answered before the caller was. After it: those that were answered later, up to the end. The end, when
COMPLETED is visible, is the answer to the statement that makes the run COMPLETED, or to the script which holds it. What ticks all the time,
whether there is a run or not (TICKS), belongs to no run and counts in neither.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.latency.recorder import Seen
from benchmarks.latency.times import Kind

TICKS = frozenset(
    {
        *("renew", "list_leases", "read_heads", "known_entries", "append_entries", "record_key_usage", "list_key_digests"),
        *("look", "claimed_runs", "renew_claims", "take_over", "run_states", "overdue_runs", "running_runs"),
        *("insert_platform_events", "insert_tenant_runs", "delete_old_entries", "list_due_access_checks", "count_key_versions"),
    }
)
"""Statements of what happens every few seconds or later, for all tenants at once: leases, claims, the audit log, reports, surveys."""
OF_A_SCHEDULED_RUN = frozenset({"look", "run_states"})
"""Those of them that are sent for a scheduled run: what waits is looked for, and whether the attempt was started before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Walked:
    """One run; moments in seconds of `time.monotonic`."""

    called: float
    answered: float
    """To the caller."""
    ended: float
    """COMPLETED was visible."""
    before: Sequence[Seen]
    """What was answered before the caller was."""
    after: Sequence[Seen]
    """What was answered later, up to the end."""
    unawaited: Sequence[Seen]
    """What was answered after the end."""
    ticks: Sequence[Seen]


def walked(seen: Iterable[Seen], *, called: float, answered: float, ticks: Collection[str] = TICKS) -> Walked:
    """Splits the requests of the only run that has worked. Raises ValueError if nothing has made it COMPLETED."""
    all_of_it = list(seen)
    own = [one for one in all_of_it if one.ask.name not in ticks]
    ends = [one.answered for one in own if one.ask.ends_run]
    if not ends:
        raise ValueError("no statement has made the run COMPLETED")
    ended = max(ends)
    return Walked(
        called=called,
        answered=answered,
        ended=ended,
        before=[one for one in own if one.answered <= answered],
        after=[one for one in own if answered < one.answered <= ended],
        unawaited=[one for one in own if one.answered > ended],
        ticks=[one for one in all_of_it if one.ask.name in ticks],
    )


def critical_path(seen: Iterable[Seen]) -> list[Seen]:
    """The longest chain."""
    requests = sorted(seen, key=lambda one: (one.answered, one.sent))
    chains = list[tuple[float, list[Seen]]]()
    for number, one in enumerate(requests):
        earlier = [chains[index] for index in range(number) if requests[index].answered <= one.sent]
        length, chain = max(earlier, key=lambda found: found[0], default=(0.0, []))
        chains.append((length + one.seconds, [*chain, one]))
    return max(chains, key=lambda found: found[0], default=(0.0, []))[1]


def sequential(seen: Iterable[Seen]) -> list[Seen]:
    """The jobs on the critical path."""
    return [one for one in critical_path(seen) if one.is_job]


def count(seen: Iterable[Seen], *kinds: Kind) -> int:
    """How many are of these kinds."""
    return sum(one.kind in kinds for one in seen)
