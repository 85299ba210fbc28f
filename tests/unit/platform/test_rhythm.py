"""What is done again and again goes on whatever goes wrong in a round."""

import asyncio

import pytest
import structlog

from services.platform import periodic
from services.platform.errors import Unavailable


async def test_a_round_that_fails_is_logged_and_the_next_one_comes() -> None:
    """Something that does not answer, then a bug, then all is well, until it is cancelled."""
    troubles = iter([Unavailable("SERVICE_UNAVAILABLE", "Not now."), KeyError("bug")])
    rounds, enough = 0, asyncio.Event()

    async def what() -> None:
        nonlocal rounds
        rounds += 1
        if trouble := next(troubles, None):
            raise trouble
        enough.set()

    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(periodic.run_periodically(what, every=0.0, name="leases"))
        async with asyncio.timeout(5):
            await enough.wait()
        task.cancel()
        await asyncio.wait([task])

    assert [(line["event"], line["log_level"]) for line in logs] == [("leases_delayed", "warning"), ("leases_broke", "error")]
    assert rounds >= 3
    assert task.cancelled()


async def test_a_slow_round_does_not_put_off_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a round takes is taken off the wait; one that takes longer is followed at once."""
    sleep, waits = asyncio.sleep, list[float]()

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            raise asyncio.CancelledError

    async def what() -> None:
        await sleep(0.05 if not waits else 0.2)

    monkeypatch.setattr(asyncio, "sleep", wait)
    with pytest.raises(asyncio.CancelledError):
        await periodic.run_periodically(what, every=0.1, name="leases")
    assert 0 <= waits[0] <= 0.1 - 0.04
    assert waits[1] == 0
