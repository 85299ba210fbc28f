"""A campaign: tenants act and things break, at once, each by a seed of its own; then everything comes to rest and is judged."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

from localcloud.processes.process import ProcessFailed
from localcloud.settings import SERVICES
from tests.support.chaos.actions import Callers, Member, statuses
from tests.support.chaos.at_rest import come_to_rest
from tests.support.chaos.faults import KINDS, Fault, Kind
from tests.support.chaos.report import Broken, Report, rows_of
from tests.support.chaos.secrets import Planted, kms_decrypt
from tests.support.chaos.world import World
from tests.support.credentials.samples import new_rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.support.invariants import Observed, Violation, read_tables, secrets_outside, violations
from tests.support.invariants.logs import log_violations

RECOVERED_WITHIN = 120.0
"""Seconds after a fault is healed; a busy machine starts a process slowly."""
ROWS = 12
"""Of a day of an export."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a campaign is made of."""

    seed: int
    faults: int
    """It ends after so many."""
    seconds: float
    """Or after so long."""
    actors: int = 3
    lanes: int = 2
    """So many faults are under way at a time."""
    pause: float = 0.3
    """Seconds between two actions of an actor, on average."""
    limits: Sequence[Mapping[str, Any]] = ({}, {"concurrent_limit": 2}, {"daily_limit": 6, "concurrent_limit": 3})
    """Of each tenant."""
    kinds: Sequence[Kind] = KINDS
    deals: int | None = None
    """It ends also when each of the kinds has been dealt so often."""
    ahead: timedelta = timedelta()
    """How far the services' clocks are."""
    crosses_midnight: bool = False
    is_thorough: bool = True
    """At the end each day is run once more: whatever was left behind must be set right by that."""


@dataclass(kw_only=True)
class Campaign:
    """One that is under way."""

    world: World
    plan: Plan
    report: Report
    callers: Callers
    _ends: threading.Event = field(default_factory=threading.Event)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _dealt: Iterator[tuple[int, Kind]] = field(init=False)

    def __post_init__(self) -> None:
        kinds = dealt(self.plan.kinds, random.Random(self.plan.seed))
        self._dealt = enumerate(kinds if self.plan.deals is None else islice(kinds, self.plan.deals * len(self.plan.kinds)))

    def run(self) -> Report:
        """To its end; the report has the violations."""
        began = time.monotonic()
        timer = threading.Timer(self.plan.seconds, self._ends.set)
        timer.start()
        with ThreadPoolExecutor(self.plan.actors + self.plan.lanes) as pool:
            actors = [pool.submit(self._act, random.Random(f"{self.plan.seed} actor {number}")) for number in range(self.plan.actors)]
            lanes = [pool.submit(self._break) for _ in range(self.plan.lanes)]
            try:
                for lane in lanes:
                    lane.result()
            finally:
                self._ends.set()
                timer.cancel()
            for actor in actors:
                actor.result()
        self.report.seconds = time.monotonic() - began
        self.report.rest_seconds = come_to_rest(self.callers)
        self._judge()
        if self.plan.is_thorough and not self.report.violations:
            for member in self.callers.members:
                self.callers.start(member, min(member.days), until=max(member.days))
            come_to_rest(self.callers)
            self.callers.observed.focus_may_lag = False
            self._judge()
        return self.report

    def _act(self, rng: random.Random) -> None:
        while not self._ends.is_set():
            self.callers.act(rng)
            self._ends.wait(rng.uniform(0, 2 * self.plan.pause))

    def _break(self) -> None:
        while not self._ends.is_set() and len(self.report.happened) < self.plan.faults:
            with self._guard:
                # A fault depends on its number, not on which lane is free for it.
                if (card := next(self._dealt, None)) is None:
                    return
            number, kind = card
            rng = random.Random(f"{self.plan.seed} fault {number}")
            self._one(self._free(partial(kind, self.world, rng)))

    def _free(self, draw: Callable[[], Fault]) -> Fault:
        """Draws until what the fault takes is not taken already."""
        while True:
            with self.world.guard:
                fault = draw()
                if not fault.takes & self.world.busy:
                    self.world.busy.update(fault.takes)
                    return fault
            time.sleep(0.05)

    def _one(self, fault: Fault) -> None:
        try:
            fault.begin()
            self._ends.wait(fault.seconds)
        finally:
            try:
                fault.heal()
            except ProcessFailed as error:
                self._give_up("process.up", fault, str(error))
            with self.world.guard:
                self.world.busy.difference_update(fault.takes)
        try:
            healed = self.callers.recovered_after(RECOVERED_WITHIN)
        except TimeoutError as error:
            healed = RECOVERED_WITHIN
            self._give_up("answers.recovered", fault, str(error))
        with self._guard:
            self.report.broken.append(Broken(fault=fault, recovered_seconds=healed))

    def _give_up(self, invariant: str, fault: Fault, why: str) -> None:
        """Ends the campaign. What is there then is judged all the same."""
        self._ends.set()
        self.callers.broken.append(Violation(invariant=invariant, where=f"{fault.kind} of {fault.where}", what=why))

    def _judge(self) -> None:
        callers, world = self.callers, self.world
        local = world.stack.settings
        with world.suite.warehouse as client:
            tables = read_tables(client, local.control_dataset, tenants=[member.name for member in callers.members])
        decrypt = kms_decrypt(local.address("kms"), local.kms_key)
        self.report.violations = [
            *violations(tables, callers.observed, decrypt=decrypt),
            *secrets_outside(local.state_dir, callers.planted.secrets),
            *log_violations(local.logs_dir, SERVICES),
            *callers.broken,
        ]
        self.report.answers, self.report.rows = statuses(callers.answers), rows_of(tables)
        self.report.statements = world.bigquery.statements


def prepare(world: World, plan: Plan) -> Campaign:
    """Its tenants are there, with exports and credentials; nothing is broken yet."""
    planted = Planted(keys=[new_rsa() for _ in range(3)])
    observed = Observed(clock_ahead=plan.ahead, crossed_midnight=plan.crosses_midnight)
    members = [_member(world, planted, observed, limits, plan.seed + number) for number, limits in enumerate(plan.limits)]
    planted.secrets["the admin key"] = world.stack.env["ADMIN_API_KEY"].encode()
    callers = Callers(world=world, members=members, planted=planted, observed=observed)
    rng = random.Random(plan.seed)
    for member in members:
        callers.make_schedule(member, rng)
        callers.make_due(member, rng)
    return Campaign(world=world, plan=plan, report=Report(seed=plan.seed), callers=callers)


def _member(world: World, planted: Planted, observed: Observed, limits: Mapping[str, Any], seed: int) -> Member:
    tenant = world.suite.tenant(planted.keys[0], **limits)
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=number) for number in (4, 3, 2)]
    rows = [row | {"project": row["project"] | {"id": f"shop-{tenant.tenant_id}"}} for day in days for row in many(day, ROWS, seed=seed)]
    load(world.suite.env["BIGQUERY_EMULATOR_HOST"], f"{tenant.project}.exports.gcp_billing_export_v1_{ACCOUNT}", rows, STANDARD)
    provider, body, secret = planted.credentials(tenant, random.Random(seed), "GCP")
    stored = tenant.rest.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/credentials", body)
    if stored.status != 200:
        raise RuntimeError(f"a tenant cannot be set up: {stored.body}")
    planted.sent(observed, (tenant.tenant_id, provider), secret, stored=True)
    planted.secrets[f"the API key of {tenant.tenant_id}"] = tenant.rest.headers["X-API-Key"].encode()
    observed.exports[tenant.tenant_id], observed.started[tenant.tenant_id] = rows, set()
    if "daily_limit" in limits:
        observed.daily_limits[tenant.tenant_id] = limits["daily_limit"]
    return Member(tenant=tenant, days=days)


def dealt(kinds: Sequence[Kind], rng: random.Random) -> Iterator[Kind]:
    """All of them, shuffled, again and again."""
    while True:
        deck = list(kinds)
        rng.shuffle(deck)
        yield from deck
