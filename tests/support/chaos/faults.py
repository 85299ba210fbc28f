"""What breaks. A fault begins, lasts some seconds, and is healed."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from localcloud.certs import renew
from tests.support.chaos.statements import GARBAGE, HALF, Moment, Trap
from tests.support.chaos.world import LEASE, RELOAD, World

STATEMENTS = {
    "start of a run": ("reserve", "read_usage", "insert_run", "claim_run", "run_states"),
    "work of a run": ("load", "load_staging", "insert_step_logs", "insert_dq_results", "find_sealed_credentials"),
    "publish": ("publish_billing_cost_daily_with_focus_cost_daily", "publish_billing_cost_daily", "publish_focus_cost_daily"),
    "end of a run": ("complete_run", "add_run_costs", "end_run", "settle", "renew"),
    "trigger": ("due_schedules", "enqueue"),
    "queue": ("look", "claim_runs", "record_started", "requeue", "put_back", "take_over", "renew_claims"),
    "credentials": ("find_credential", "insert_credential", "update_credential", "insert_audit_row"),
    "ledger's day": ("open_day", "reset_day"),
    "schedules": ("insert_schedule", "backfill", "delete_schedule", "retry_run", "put_tenant"),
}
"""The places in flows 1 to 3 between two statements, by what they are for."""
TRAP_SECONDS = 6.0


@dataclass(kw_only=True)
class Fault:
    """One that is under way, or has been."""

    kind: str
    target: str
    seconds: float
    """How long it lasts."""
    begin: Callable[[], object] = field(repr=False)
    heal: Callable[[], object] = field(repr=False, default=lambda: None)
    takes: frozenset[str] = frozenset()
    """Processes that no other fault may touch meanwhile."""
    trap: Trap | None = field(repr=False, default=None)

    @property
    def has_happened(self) -> bool:
        """A trap at a statement that was never sent has hurt nothing."""
        return self.trap is None or bool(self.trap.reached)

    @property
    def where(self) -> str:
        """What was hit."""
        return ", ".join(self.trap.reached) if self.trap else self.target


type Kind = Callable[[World, random.Random], Fault]


def kill(world: World, rng: random.Random) -> Fault:
    """SIGKILL, at any moment."""
    name = rng.choice([*world.processes, *world.processes, "kms", "bigquery"])
    takes = frozenset({name})
    return Fault(
        kind="kill",
        target=name,
        seconds=rng.uniform(0, 2),
        begin=lambda: world.stack.kill(name),
        heal=lambda: world.restart(name),
        takes=takes,
    )


def kill_at_statement(world: World, rng: random.Random) -> Fault:
    """SIGKILL of the process that sends a certain statement: before BigQuery gets it, or when it is done."""
    place = rng.choice(list(STATEMENTS))
    moment, killed, is_over = rng.choice(list(Moment)), list[str](), threading.Event()
    guard = threading.Lock()

    def act(caller: str) -> None:
        with guard:
            # A statement that was under way when the fault was healed may end later.
            if not is_over.is_set() and not world.is_dead(caller):
                world.stack.kill(caller)
                killed.append(caller)

    def heal() -> None:
        world.bigquery.take_away(trap)
        with guard:
            is_over.set()
        for name in killed:
            world.restart(name)

    trap = Trap(names=frozenset(STATEMENTS[place]), moment=moment, act=act)
    return _trapping(world, trap, kind=f"kill {moment} a statement", target=place, heal=heal)


def lose_answers(world: World, rng: random.Random) -> Fault:
    """BigQuery does what it was asked, and the answer does not arrive, or arrives in half, or as something else."""
    said, how = rng.choice([(b"", "answers lost"), (HALF, "answers cut midway"), (GARBAGE, "answers garbled")])
    place = rng.choice(list(STATEMENTS))
    trap = Trap(names=frozenset(STATEMENTS[place]), moment=Moment.AFTER, times=rng.randint(1, 3), said=said)
    return _trapping(world, trap, kind=how, target=place, heal=lambda: world.bigquery.take_away(trap))


def _trapping(world: World, trap: Trap, *, kind: str, target: str, heal: Callable[[], object]) -> Fault:
    def begin() -> None:
        world.bigquery.set_trap(trap)
        trap.sprung.wait(TRAP_SECONDS)

    return Fault(kind=kind, target=target, seconds=0, begin=begin, heal=heal, trap=trap)


def terminate(world: World, rng: random.Random) -> Fault:
    """SIGTERM, as at a roll-out."""
    name = rng.choice(world.processes)
    begin, takes = lambda: world.stack.stop_process(name), frozenset({name})
    return Fault(kind="terminate", target=name, seconds=rng.uniform(0, 1), begin=begin, heal=lambda: world.restart(name), takes=takes)


def freeze(world: World, rng: random.Random) -> Fault:
    """A process stands still, at times for longer than its leases, and goes on as if nothing were."""
    name = rng.choice([*world.processes, "kms", "bigquery"])
    return Fault(
        kind="freeze",
        target=name,
        seconds=rng.choice([1, 3, LEASE + 3]),
        begin=lambda: world.stack.pause(name),
        heal=lambda: world.stack.resume(name),
        takes=frozenset({name}),
    )


def slow(world: World, rng: random.Random) -> Fault:
    """BigQuery, its Storage API or KMS takes its time."""
    name, delay = rng.choice(["bigquery", "kms", "storage"]), rng.uniform(0.2, 1.2)

    def put(seconds: float) -> None:
        if name == "bigquery":
            world.bigquery.slow = seconds
        else:
            world.links[name].delay = seconds

    return Fault(kind="slow", target=name, seconds=rng.uniform(2, 5), begin=lambda: put(delay), heal=lambda: put(0.0))


def cut(world: World, rng: random.Random) -> Fault:
    """All connections to a service end, wherever they are in a call."""
    name = rng.choice(list(world.links))
    return Fault(kind="connections cut", target=name, seconds=0, begin=world.links[name].cut)


def hold(world: World, rng: random.Random) -> Fault:
    """A network that drops everything: no connection ends, nothing arrives."""
    name = rng.choice(list(world.links))
    return Fault(
        kind="partition", target=name, seconds=rng.choice([1, 3, LEASE + 2]), begin=world.links[name].hold, heal=world.links[name].heal
    )


def corrupt(world: World, rng: random.Random) -> Fault:
    """Bytes of answers change on the way: TLS notices, and KMS's checksums do."""
    link = world.links[name := rng.choice([name for name in world.links if name != "storage"])]

    def begin() -> None:
        link.corrupt = True

    def heal() -> None:
        link.heal()
        link.cut()

    return Fault(kind="bytes corrupted", target=name, seconds=rng.uniform(1, 2), begin=begin, heal=heal)


def fill_spool(world: World, rng: random.Random) -> Fault:
    """The spool takes no file: a device that is full from its first byte stands in its place."""
    spool, away = world.spool, world.spool.with_name("spool-away")

    def begin() -> None:
        if spool.exists():
            spool.rename(away)
        spool.symlink_to("/dev/full")

    def heal() -> None:
        spool.unlink()
        if away.exists():
            away.rename(spool)

    return Fault(kind="spool full", target="spool", seconds=rng.uniform(2, 5), begin=begin, heal=heal, takes=frozenset({"spool"}))


def move_clock(world: World, rng: random.Random) -> Fault:
    """One process's clock is wrong, in either direction, and is set right again."""
    name = rng.choice(list(world.ahead))
    file, by = world.ahead[name], rng.choice([-1, 1]) * rng.uniform(0.3, 1.2) * LEASE
    usual = float(file.read_text())
    return Fault(
        kind="clock moved",
        target=f"{name} {by:+.0f} s",
        seconds=rng.uniform(2, 5),
        begin=lambda: file.write_text(str(usual + by)),
        heal=lambda: file.write_text(str(usual)),
        takes=frozenset({f"clock of {name}"}),
    )


def renew_certificates(world: World, rng: random.Random) -> Fault:
    """Another authority, and new certificates of all, under running processes, some of which may just be starting, or stand still."""
    certs = world.stack.settings.certs_dir
    return Fault(
        kind="certificates renewed",
        target="all",
        seconds=0,
        begin=lambda: renew(certs, pause=lambda: time.sleep(RELOAD + 1)),
        takes=frozenset({"certificates"}),
    )


KINDS: Sequence[Kind] = (
    *(kill, kill, kill_at_statement, kill_at_statement, kill_at_statement, terminate, freeze),
    *(lose_answers, lose_answers, slow, cut, hold, corrupt, fill_spool, move_clock, renew_certificates),
)
"""A deck: all of it is dealt before it is dealt again."""
