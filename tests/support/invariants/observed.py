"""The answers that callers got, and the rows of tenants' sources. The tables must agree with both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """The credentials that a tenant has sent for a provider, in the order of its calls. Which unanswered calls took effect is unknown."""

    acknowledged: Sequence[bytes] = field(repr=False)
    """A part of each secret that was stored with 200."""
    unanswered: Sequence[bytes] = field(default=(), repr=False)
    """The same of calls that failed, or got no answer."""


@dataclass(kw_only=True)
class Observed:
    """Filled in while the suite is used. Every field is by tenant; an empty field is not checked."""

    exports: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """The rows of a tenant's billing export; they do not change."""
    started: dict[str, set[str]] = field(default_factory=dict)
    """Ids of runs from calls to run a pipeline that were answered with 200."""
    by_key: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """The ids that calls with an Idempotency-Key got, by tenant and key."""
    unanswered_starts: dict[str, int] = field(default_factory=dict)
    """Calls to run a pipeline that got 503, 504 or no answer: each may have started a run."""
    cancelled: dict[str, set[str]] = field(default_factory=dict)
    """Runs whose cancel was answered with 200."""
    schedules: dict[str, set[str]] = field(default_factory=dict)
    """Schedules whose creation was answered with 200."""
    deletions: dict[str, set[str]] = field(default_factory=dict)
    """Schedules that a caller asked to delete, whatever the answer."""
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
    """True if the services' clock has passed midnight: then a day's counters are checked by their sums only."""
    focus_may_lag: bool = True
    """True: FOCUS may be older than billing_cost_daily. A run that died between the two tables, or was overtaken by one that did, leaves it
    behind; the ledger of days records this, and the next run of the day corrects it. False: each day has had such a next run.
    """
