"""What callers were answered, and what tenants' sources hold: the tables must agree with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """What a tenant has sent for a provider, in the order of its calls. Which of the unanswered ones took effect is unknown."""

    acknowledged: Sequence[bytes] = field(repr=False)
    """A part of each secret that was stored with 200."""
    unanswered: Sequence[bytes] = field(default=(), repr=False)
    """The same of calls that failed, or got no answer."""


@dataclass(kw_only=True)
class Observed:
    """Filled in while the suite is used. Everything is by tenant, and may be left empty: then it is not checked."""

    exports: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """The rows of a tenant's billing export; they do not change."""
    started: dict[str, set[str]] = field(default_factory=dict)
    """Ids of runs that a call to run a pipeline was answered with 200."""
    by_key: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """The ids that calls with an Idempotency-Key got, by tenant and key."""
    unanswered_starts: dict[str, int] = field(default_factory=dict)
    """Calls to run a pipeline that got 503, 504 or no answer: each may have started a run."""
    cancelled: dict[str, set[str]] = field(default_factory=dict)
    """Runs whose cancel was answered with 200."""
    schedules: dict[str, set[str]] = field(default_factory=dict)
    """Schedules whose creation was answered with 200."""
    deletions: dict[str, set[str]] = field(default_factory=dict)
    """Schedules that somebody asked to delete, whatever the answer."""
    due: set[tuple[str, datetime]] = field(default_factory=set)
    """Fire times that a trigger must have queued: schedule and moment."""
    backfilled: set[tuple[str, date]] = field(default_factory=set)
    """Schedules and days whose backfill was answered with 200."""
    credentials: dict[tuple[str, str], Sealed] = field(default_factory=dict)
    """By tenant and provider, of those that are never deleted."""
    daily_limits: dict[str, int] = field(default_factory=dict)
    """Runs a day that a tenant may begin."""
    clock_ahead: timedelta = timedelta()
    """How far the services' clocks are ahead of BigQuery's, which writes down when a table was created."""
    crossed_midnight: bool = False
    """The services' clock has: then counters of a day are checked by their sums only."""
    focus_may_lag: bool = True
    """A run that died between the two tables, or was overtaken by one that did, leaves FOCUS behind; the ledger of days says so, and the
    next run of the day brings it up. False: each day has had such a run.
    """
