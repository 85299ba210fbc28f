"""From counted statements to dollars a day, or for a thousand runs. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.platform.bigquery.prices import MIN_BYTES, TIB

USD_PER_TIB = 6.25
REFERENCE_USD = MIN_BYTES / TIB * USD_PER_TIB
"""Google's minimum for one table in one statement. Tables of the size of these benchmarks cost no more than that."""
VIEWS = {"runnable_tenants": 3, "offboarded_tenants": 1}
"""Views by the number of tables that they read."""
DAY = 86_400.0
TICKS, TRIGGERS, RESETS = 288, 24, 1
"""Calls of the three jobs a day."""
RUN_SECONDS = 60.0
"""The length of a run in the table: what a run costs depends on it."""
RUNS = 1000

type Spent = Counter[tuple[str, str, str]]
"""References by service, statement and table."""


def references(spent: Spent, *services: str) -> int:
    """Tables in statements, of these services or of all."""
    return sum(count * VIEWS.get(table, 1) for (service, _, table), count in spent.items() if not services or service in services)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was counted, in seconds and references. Idle work is taken out of everything else."""

    idle_seconds: float
    idle: Spent
    """Without any call."""
    tick: float
    """A process-queue call that finds nothing."""
    trigger: float
    """A trigger with nothing due."""
    reset: float
    api_run_seconds: float
    api_run: Spent
    """A run of gcp/cost/billing with a key that was not used before, from the call to its end."""
    scheduled_run_seconds: float
    scheduled_run: Spent
    """The same, queued by the trigger and claimed by a tick, until it has left the queue."""
    jobs_of_a_run: float
    """What the trigger and the tick would have cost anyway."""
    live_seconds: float
    live: Spent
    """While a scheduled run waits."""
    key_seconds: float
    key: float
    """Look-ups of a key with which a service is called all the time."""
    watched_seconds: float
    watcher: int
    """Reads for watchers of a run, by the executor that leads it."""
    watcher_elsewhere: int
    """The same by another one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """One line of the table."""

    name: str
    references: float

    @property
    def usd(self) -> float:
        """At Google's minimum for each reference."""
        return self.references * REFERENCE_USD


def costs(found: Measured) -> list[Cost]:
    """The lines of the table."""
    idle_second = references(found.idle) / found.idle_seconds
    live = references(found.live, "auth") / found.live_seconds - references(found.idle, "auth") / found.idle_seconds
    claimed = references(found.live, "scheduler") / found.live_seconds - references(found.idle, "scheduler") / found.idle_seconds

    def run(spent: Spent, seconds: float, more_a_second: float) -> float:
        return references(spent) - idle_second * seconds + max(0.0, RUN_SECONDS - seconds) * max(0.0, more_a_second)

    return [
        Cost(
            name="idle day, one replica of each service",
            references=idle_second * DAY + TICKS * found.tick + TRIGGERS * found.trigger + RESETS * found.reset,
        ),
        Cost(name=f"{RUNS:,} lone API runs of a minute", references=RUNS * run(found.api_run, found.api_run_seconds, live)),
        Cost(
            name=f"{RUNS:,} lone scheduled runs of a minute",
            references=RUNS * (run(found.scheduled_run, found.scheduled_run_seconds, live + claimed) - found.jobs_of_a_run),
        ),
        Cost(name="a key in constant use, a day and service", references=found.key * DAY / found.key_seconds),
        Cost(name="a watcher, a day of runs of a minute, through the executor that leads them", references=_day(found, found.watcher)),
        Cost(name="a watcher, the same through another executor", references=_day(found, found.watcher_elsewhere)),
    ]


def _day(found: Measured, reads: int) -> float:
    return reads * DAY / found.watched_seconds


def statements(found: Measured) -> list[str]:
    """The rows of a table: what each statement of the lone API run cost while it worked, without idle work."""
    second = {place: count / found.idle_seconds for place, count in found.idle.items()}
    by_statement = dict[tuple[str, str], Counter[str]]()
    for (service, statement, table), count in found.api_run.items():
        left = round(count - second.get((service, statement, table), 0.0) * found.api_run_seconds)
        if left > 0:
            by_statement.setdefault((service, statement), Counter())[table] = left * VIEWS.get(table, 1)
    rows = sorted(by_statement.items(), key=lambda row: -row[1].total())
    return [
        f"| {service} | {statement} | {', '.join(f'{table} {count}' for table, count in sorted(tables.items()))} | {tables.total()} "
        f"| {RUNS * tables.total() * REFERENCE_USD:.3f} |"
        for (service, statement), tables in rows
    ]


def section(after: Sequence[Cost], before: Sequence[float], *, before_at: str, after_at: str, run: Measured) -> str:
    """The tables as a section of the report. `before`: references by line; `run`: whose lone API run is listed by statement."""
    lines = [
        f"| {cost.name} | {_cells(Cost(name=cost.name, references=earlier))} | {_cells(cost)} |"
        for cost, earlier in zip(after, before, strict=True)
    ]
    return "\n".join(
        [
            "## In dollars",
            "",
            "Reckoned from our own counters over real processes: each table that a statement reads or rewrites costs Google's minimum of",
            f"10 MiB, on demand at {USD_PER_TIB} $/TiB, i.e. {REFERENCE_USD:.7f} $; one that it only appends to costs nothing. Streamed",
            "rows, metadata and listings are free; the bytes of large tables come on top. What depends on time was counted for about a",
            "minute and extrapolated. A lone run shares no statement.",
            "",
            f"| what | references at {before_at} | $ | references at {after_at} | $ |",
            "|---|--:|--:|--:|--:|",
            *lines,
            "",
            f"The lone API run by statement. It took {run.api_run_seconds:.0f} s; for the rest of a minute it renews its lease.",
            "Streamed lines, load jobs, readings of metadata and listed tables (of up to 1,000 rows) cost nothing and are not shown.",
            "",
            "| service | statement | tables | references | $ for 1,000 runs |",
            "|---|---|---|--:|--:|",
            *statements(run),
        ]
    )


def _cells(cost: Cost) -> str:
    return f"{cost.references:,.0f} | {cost.usd:.3f}"
