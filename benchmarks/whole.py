"""The whole suite, as processes: `size` concurrent RunPipeline calls through the gateway, then as many scheduled runs from a full queue.

Five calls a tenant; the runs do almost no work. Unlike the other benchmarks this one has emulators of its own.
"""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.counts import Row, fill
from benchmarks.crowd import CALLS, PLANS, make_due, new_crowd, settle_in
from benchmarks.place import Place
from benchmarks.whole_stack import MAX_RUNS, OK, PATIENT, WholeStack, drain, run_all, whole_stack

SIZES = (100,)
"""A thousand scheduled runs take a quarter of an hour: `--only whole --sizes 1000`."""
EXACT = [(limits, admitted) for limits, admitted in PLANS if "concurrent_limit" not in limits]
"""The calls that these admit do not depend on how fast runs end."""


async def bench(_: Place, size: int) -> AsyncIterator[Row]:
    """The day's rows exist before. Raises RuntimeError unless exactly the calls within the limits are admitted."""
    with tempfile.TemporaryDirectory(prefix="convergence-bench-") as state, whole_stack(Path(state), auths=2, extra=PATIENT) as whole:
        crowd = new_crowd(max(1, size // CALLS), plans=EXACT)
        await settle_in(crowd, whole.settings)
        opened = await asyncio.to_thread(whole.admin.call, "POST", "/api/v1/scheduler/reset-daily-quotas", {})
        if opened.status != OK:
            raise RuntimeError(f"the day could not be opened: {opened.body}")
        row, before = Row(name="RunPipeline, the whole suite", at_once=size), whole.counted()
        began = time.monotonic()
        async with whole.gateway_channel() as channel:
            results = await run_all(channel, [crowd[call % len(crowd)] for call in range(size)])
        row.seconds = time.monotonic() - began
        fill(row, before, whole.counted())
        admitted = Counter(one.member.tenant_id for one in results if one.code == "OK")
        if wrong := [member.tenant_id for member in crowd if admitted[member.tenant_id] != member.admitted]:
            raise RuntimeError(f"{len(wrong)} tenants were not admitted as their limits say: {Counter(one.code for one in results)}")
        yield row
        await asyncio.to_thread(_idle, whole)
        await make_due([member.tenant_id for member in crowd if not member.limits], size, whole.settings)
        row, before, began = (
            Row(name=f"scheduled runs, max_runs {MAX_RUNS}, the whole suite", at_once=size),
            whole.counted(),
            time.monotonic(),
        )
        await asyncio.to_thread(drain, whole, size)
        row.seconds = time.monotonic() - began
        fill(row, before, whole.counted())
        yield row


def _idle(whole: WholeStack) -> None:
    """Returns when no run holds a reservation any more."""
    left = "SELECT COUNT(*) AS n FROM tenants.tenant_usage_quotas AS q, UNNEST(q.live_runs) AS l"
    while whole.query(left)[0]["n"]:
        time.sleep(1.0)
