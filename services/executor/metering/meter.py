"""Counts what a run uses. All methods may be called from any thread."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.executor.metering.cap import BYTES_READ, COST, EXPORT, MONTH, CapExceeded, RunAllowance, RunCap, smallest
from services.executor.metering.labels import label
from services.executor.records import RunCost
from services.platform.bigquery.prices import MIN_BYTES, TIB
from services.platform.metrics.bigquery import billed, read_of_tenant


class RunMeter:
    """What one run has used, in all tries of all its steps."""

    def __init__(
        self,
        *,
        cap: RunCap | None = None,
        allowance: RunAllowance | None = None,
        query_usd_per_tib: float = 0.0,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """`labels`: of the run, for its jobs."""
        cap, allowance = cap or RunCap(), allowance or RunAllowance()
        self.query_usd_per_tib = query_usd_per_tib
        self.labels = dict(labels or {})
        self.max_bytes_read = smallest(((cap.bytes_read, BYTES_READ), (allowance.max_export_bytes, EXPORT)))
        """The smaller of the two limits in bytes, and its name."""
        self.max_cost = smallest(((cap.cost_usd, COST), (allowance.month_left_usd, MONTH)))
        """The same in dollars."""
        self.lock = threading.RLock()
        self._tries = list[StepMeter]()

    @property
    def cost(self) -> RunCost:
        """So far."""
        with self.lock:
            return sum((one.cost for one in self._tries), RunCost())

    @property
    def expected(self) -> RunCost:
        """So far, with the readings that were allowed and have not begun."""
        with self.lock:
            return self.cost + sum((one.allowed for one in self._tries), RunCost())

    def step(self, step_id: str, attempt: int, *, part: float = 1.0) -> "StepMeter":
        """The meter of one try of a step. `part`: of what is left of the run's cap, how much its queries may use."""
        one = StepMeter(self, {**self.labels, "step": label(step_id), "attempt": str(attempt)}, part)
        with self.lock:
            self._tries.append(one)
        return one

    def check(self, expected: RunCost, *, has_begun: bool) -> None:
        """Raises CapExceeded if `expected` is more than the run may use."""
        if self.max_bytes_read is not None and expected.bytes_read > self.max_bytes_read[0]:
            raise CapExceeded(self.max_bytes_read[1], most=self.max_bytes_read[0], needed=expected.bytes_read, has_begun=has_begun)
        if self.max_cost is not None and expected.cost_usd > self.max_cost[0]:
            raise CapExceeded(self.max_cost[1], most=self.max_cost[0], needed=expected.cost_usd, has_begun=has_begun)


@dataclass(slots=True)
class StepMeter:
    """What one try of a step has used; `platform.bigquery.jobs.JobAccount` for its jobs. Steps that work at once may each use what is left
    of the cap; the next of them to read is stopped.
    """

    run: RunMeter = field(default_factory=RunMeter)
    labels: Mapping[str, str] = field(default_factory=dict)
    part: float = 1.0
    """See `RunMeter.step`."""
    allowed: RunCost = field(default_factory=RunCost)
    """Readings that were allowed and have not begun."""
    _jobs: dict[str, RunCost] = field(default_factory=dict)
    _read: RunCost = field(default_factory=RunCost)

    @property
    def cost(self) -> RunCost:
        """So far."""
        with self.run.lock:
            return sum(self._jobs.values(), self._read)

    def max_bytes_billed(self) -> int | None:
        """The most that a query job in the platform's project may be billed. Raises CapExceeded if BigQuery's minimum is too much."""
        return self._left_for_query(self.run.query_usd_per_tib)

    def max_bytes_read(self, usd_per_tib: float) -> int | None:
        """The same for a query job in the tenant's project, at this price."""
        by_cost = self._left_for_query(usd_per_tib)
        with self.run.lock:
            most = self.run.max_bytes_read
            by_size = None if most is None else most[0] - self.run.expected.bytes_read
        if by_size is not None and by_size < MIN_BYTES:
            self.run.check(self.run.expected + RunCost(bytes_read=MIN_BYTES), has_begun=False)
        return min((limit for limit in (by_cost, by_size) if limit is not None), default=None)

    def add_job(self, job_id: str, *, statement: str, bytes_billed: int, slot_ms: int) -> None:
        """Counts a job in the platform's project."""
        cost = bytes_billed / TIB * self.run.query_usd_per_tib
        with self.run.lock:
            if job_id not in self._jobs:
                billed(statement, bytes_billed=bytes_billed, slot_ms=slot_ms, usd=cost, pipeline=self._pipeline)
            self._jobs[job_id] = RunCost(bytes_billed=bytes_billed, slot_ms=slot_ms, cost_usd=cost)

    def add_read_job(self, job_id: str, *, bytes_billed: int, slot_ms: int, usd_per_tib: float) -> None:
        """Counts a query job in the tenant's project: its bytes are bytes read."""
        read = RunCost(bytes_read=bytes_billed, slot_ms=slot_ms, cost_usd=bytes_billed / TIB * usd_per_tib)
        with self.run.lock:
            if job_id not in self._jobs:
                self._show_read(read)
            self._jobs[job_id] = read

    def allow(self, size: int, *, usd_per_tib: float) -> "Reading":
        """Allows a reading of about `size` bytes, before it begins. Raises CapExceeded if that is more than the run may read."""
        estimate = RunCost(bytes_read=size, cost_usd=size / TIB * usd_per_tib)
        with self.run.lock:
            self.run.check(self.run.expected + estimate, has_begun=False)
            self.allowed += estimate
        return Reading(self, estimate, usd_per_tib)

    def begin(self, estimate: RunCost) -> None:
        """Counts an allowed reading, which begins now."""
        with self.run.lock:
            self.allowed -= estimate
            self._read += estimate
            self._show_read(estimate)

    def add_read(self, size: int, *, usd_per_tib: float) -> None:
        """Counts bytes that were not allowed before. Raises CapExceeded once the run has read too much."""
        read = RunCost(bytes_read=size, cost_usd=size / TIB * usd_per_tib)
        with self.run.lock:
            self._read += read
            self._show_read(read)
            self.run.check(self.run.cost, has_begun=True)

    def refused(self, bytes_billed: int) -> CapExceeded:
        """The error for a query job of ours that BigQuery refused because it would have been billed this much."""
        return self._refused(RunCost(cost_usd=bytes_billed / TIB * self.run.query_usd_per_tib))

    def refused_read(self, size: int, *, usd_per_tib: float) -> CapExceeded:
        """The same for one in the tenant's project."""
        return self._refused(RunCost(bytes_read=size, cost_usd=size / TIB * usd_per_tib))

    @property
    def _pipeline(self) -> str:
        return self.run.labels.get("pipeline", "")

    def _show_read(self, read: RunCost) -> None:
        read_of_tenant(self._pipeline, size=read.bytes_read, usd=read.cost_usd)

    def _refused(self, more: RunCost) -> CapExceeded:
        expected = self.run.expected + more
        try:
            self.run.check(expected, has_begun=False)
        except CapExceeded as exceeded:
            return exceeded
        # BigQuery did not say how much it would be, or steps that work at once have left more meanwhile.
        most, name = self.run.max_cost or (expected.cost_usd, COST)
        return CapExceeded(name, most=most, needed=max(most, expected.cost_usd), has_begun=False)

    def _left_for_query(self, usd_per_tib: float) -> int | None:
        if self.run.max_cost is None or usd_per_tib <= 0:
            return None
        expected = self.run.expected
        left = int(self.part * (self.run.max_cost[0] - expected.cost_usd) / usd_per_tib * TIB)
        if left < MIN_BYTES:
            raise self._refused(RunCost(cost_usd=MIN_BYTES / TIB * usd_per_tib))
        return left


class Reading:
    """One read session: counts as the larger of BigQuery's estimate and the bytes received. The estimate is of what BigQuery scans, which
    it bills; it comes from the table's metadata, which may be behind a table that is written to.
    """

    def __init__(self, meter: StepMeter, estimate: RunCost, usd_per_tib: float) -> None:
        self._meter, self._estimate, self._usd_per_tib = meter, estimate, usd_per_tib
        self._has_begun, self._received = False, 0

    def begin(self) -> None:
        """The session is read from now on. A reading that breaks off counts whole."""
        if not self._has_begun:
            self._has_begun = True
            self._meter.begin(self._estimate)

    def receive(self, size: int) -> None:
        """`size` bytes have arrived. Raises CapExceeded if there is more to read than the run may."""
        before = max(self._received, self._estimate.bytes_read)
        self._received += size
        if self._received > before:
            self._meter.add_read(self._received - before, usd_per_tib=self._usd_per_tib)
