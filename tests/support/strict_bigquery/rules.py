"""Applies the rules: waits, refuses and counts. It knows statements, not HTTP."""

import random
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.support.strict_bigquery import refused
from tests.support.strict_bigquery.billing import Billing
from tests.support.strict_bigquery.conflicts import Conflicts, Transaction
from tests.support.strict_bigquery.iam import Iam
from tests.support.strict_bigquery.request import Request
from tests.support.strict_bigquery.script import CHANGES, Kind, Statement, parse, tables_dropped, tables_made

RUNNING, OUTSTANDING = 2, 22
RATE, WINDOW_SECONDS = 25, 10.0
UNTIMED = frozenset({Kind.BEGIN, Kind.COMMIT})
"""They take a moment, not a second."""


@dataclass(kw_only=True)
class StrictBigQuery:
    """BigQuery's rules, and injected faults; see the package."""

    upstream: str
    """host:port of the emulator."""
    rate: int = RATE
    seconds: tuple[float, float] = (0.0, 0.0)
    """How long a statement takes: from, to."""
    lose_every: int = 0
    """Each n-th statement that changes something is done, and its answer lost; 0: never."""
    job_error_every: int = 0
    """Each n-th job fails with 400 jobBackendError and does nothing; 0: never."""
    poll_error_every: int = 0
    """Each n-th request for a job's state is answered 503; 0: never."""
    young_seconds: float = 0.0
    """Rows streamed into a table younger than this are lost. In BigQuery this may last for a minute and more."""
    longest_delay: float = 0.0
    """Seconds; each request waits for a part of it."""
    billing: Billing = field(default_factory=Billing)
    """What jobs are billed."""
    iam: Iam | None = None
    """None: every caller may do everything."""
    refused: Counter[str] = field(default_factory=Counter)
    """How often a rule was applied, by reason; `lost` are answers, `swallowed` streamed requests."""
    aborted: Counter[str] = field(default_factory=Counter)
    """How often a transaction was cancelled, by `dataset.table`."""
    url: str = ""
    callers: Sequence[str] = ()
    """Further callers with a URL of their own and all rights; see `passing`."""
    urls: dict[str, str] = field(default_factory=dict)
    """The proxy's URL for each account of `iam`, and each of `callers`."""
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    _tables: threading.Condition = field(default_factory=threading.Condition)
    """Guards all that follows; somebody has let go of a table."""
    _conflicts: Conflicts = field(default_factory=lambda: Conflicts(at_once=RUNNING))
    _waiting: dict[str, deque[object]] = field(default_factory=lambda: defaultdict(deque))
    _outstanding: Counter[str] = field(default_factory=Counter)
    _begun: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _upstream: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    """The emulator gets the mutations of a table one at a time. BigQuery serializes concurrent ones; the emulator cannot."""
    _streamed: set[str] = field(default_factory=set)
    _made: dict[str, float] = field(default_factory=dict)
    _count: Counter[str] = field(default_factory=Counter)
    _chance: random.Random = field(default_factory=lambda: random.Random(7))

    def url_of(self, account: str) -> str:
        """BIGQUERY_EMULATOR_HOST for a process that is this account."""
        return self.urls[account]

    @contextmanager
    def passing(self, request: Request, caller: str) -> Iterator[None]:
        """Encloses the handling of a request. Subclasses inject faults here. May raise Refused and Lost. `caller`: the account or caller
        whose URL was used; empty for `url`.
        """
        yield

    @contextmanager
    def statement(self, sql: str, dataset: str) -> Iterator[None]:
        """Encloses the emulator's work on `sql`, a statement or a script; empty for requests that are no query. If it raises Refused,
        nothing must run. The package describes the order.
        """
        script = parse(sql, dataset)
        self._admit(script)
        last = max((number for number, one in enumerate(script) if one.kind in CHANGES), default=-1)
        with ExitStack() as held:
            self._walk(script[: last + 1], held)
            for table in sorted({one.table for one in script if one.kind is Kind.MUTATION}):
                held.enter_context(self._upstream[table])
            yield
        for one in script[last + 1 :]:
            self._take_time(one)
        with self._tables:
            self._made |= dict.fromkeys((table for table in tables_made(sql, dataset) if table not in self._made), self.now())
            for table in tables_dropped(sql, dataset):
                self._made.pop(table, None)

    def stream(self, table: str) -> bool:
        """Rows come into `dataset.table` by streaming; False: they are lost, and the caller gets no error."""
        with self._tables:
            if self.now() - self._made.get(table, float("-inf")) < self.young_seconds:
                self.refused["swallowed"] += 1
                return False
            self._streamed.add(table)
            return True

    def table_made(self, table: str) -> None:
        """`dataset.table` was made, other than by a statement."""
        with self._tables:
            self._made.setdefault(table, self.now())

    def table_dropped(self, table: str) -> None:
        """`dataset.table` was taken away, other than by a statement."""
        with self._tables:
            self._made.pop(table, None)

    def loses(self) -> bool:
        """Whether the answer to this change gets lost."""
        return self._is_nth("change", self.lose_every)

    def check_job(self) -> None:
        """A job is handed in. Raises Refused when it is its turn to fail."""
        if self._is_nth("job", self.job_error_every):
            raise refused.job_backend_error()

    def check_poll(self) -> None:
        """Somebody asks how a job stands. Raises Refused when it is this one's turn."""
        if self._is_nth("poll", self.poll_error_every):
            raise refused.backend_error()

    def delay(self) -> float:
        """Seconds for this request."""
        return self._chance.uniform(0, self.longest_delay)

    def _is_nth(self, what: str, every: int) -> bool:
        with self._tables:
            self._count[what] += 1
            return bool(every) and self._count[what] % every == 0

    def _admit(self, script: Sequence[Statement]) -> None:
        written = [one.table for one in script if one.table]
        mutated = {one.table for one in script if one.kind is Kind.MUTATION}
        now = self.now()
        with self._tables:
            for table, count in Counter(written).items():
                begun = self._begun[table]
                while begun and begun[0] <= now - WINDOW_SECONDS:
                    begun.popleft()
                if len(begun) + count > self.rate:
                    raise refused.too_fast(table)
            if streamed := self._streamed.intersection(mutated):
                raise refused.in_streaming_buffer(min(streamed))
            for table in written:
                self._begun[table].append(now)

    def _walk(self, script: Sequence[Statement], held: ExitStack) -> None:
        """Takes what each statement needs for as long as it needs it. What the last one holds goes to `held`, and what a transaction
        holds, unless a plain mutation that follows waits for one of its tables.
        """
        transaction: tuple[ExitStack, Transaction] | None = None
        for number, one in enumerate(script, 1):
            if one.kind is Kind.BEGIN:
                until_commit = held.enter_context(ExitStack())
                transaction = until_commit, until_commit.enter_context(self._transaction())
            elif one.kind is Kind.COMMIT and transaction is not None:
                if transaction[1].mutated.intersection(one.table for one in script[number:] if one.kind is Kind.MUTATION):
                    transaction[0].close()
                transaction = None
            elif one.kind is Kind.MUTATION and transaction is not None:
                self._mutate(transaction[1], one.table)
                self._take_time(one)
            elif one.kind is Kind.MUTATION:
                with ExitStack() as turn:
                    turn.enter_context(self._turn(one.table))
                    self._take_time(one)
                    if number == len(script):
                        held.push(turn.pop_all())
            else:
                self._take_time(one)

    def _take_time(self, one: Statement) -> None:
        if one.kind not in UNTIMED and (seconds := self._chance.uniform(*self.seconds)):
            self.sleep(seconds)

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        with self._tables:
            transaction = self._conflicts.begin()
        end = self._conflicts.roll_back
        try:
            yield transaction
            end = self._conflicts.commit
        finally:
            with self._tables:
                end(transaction)
                self._tables.notify_all()

    def _mutate(self, transaction: Transaction, table: str) -> None:
        with self._tables:
            try:
                self._conflicts.mutate(transaction, table)
            except refused.Refused:
                self.aborted[table] += 1
                raise

    @contextmanager
    def _turn(self, table: str) -> Iterator[None]:
        """A plain mutation: first come, first served."""
        me, queue = object(), self._waiting[table]
        with self._tables:
            if self._outstanding[table] >= OUTSTANDING:
                raise refused.outstanding(table)
            self._outstanding[table] += 1
            queue.append(me)
            self._tables.wait_for(lambda: queue[0] is me and self._conflicts.has_room(table))
            queue.popleft()
            self._conflicts.start(table)
            self._tables.notify_all()
        try:
            yield
        finally:
            with self._tables:
                self._conflicts.end(table)
                self._outstanding[table] -= 1
                self._tables.notify_all()
