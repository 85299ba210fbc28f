"""Periodic tasks continue after any error in a round."""

import asyncio

import pytest
import structlog

from services.platform.errors import Unavailable
from services.platform.periodic import Periodic


async def test_a_round_that_fails_is_logged_and_the_next_one_comes() -> None:
    """Something that does not answer, then a bug, then all is well, until the context is left."""
    troubles = iter([Unavailable("SERVICE_UNAVAILABLE", "Not now."), KeyError("bug")])
    rounds, enough = 0, asyncio.Event()

    async def what() -> None:
        nonlocal rounds
        rounds += 1
        if trouble := next(troubles, None):
            raise trouble
        enough.set()

    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(5), Periodic("leases", (what, 0.0)):
            await enough.wait()

    assert [(line["event"], line["log_level"]) for line in logs] == [("leases_delayed", "warning"), ("leases_broke", "error")]
    assert rounds >= 3
    ended = rounds
    await asyncio.sleep(0)
    assert rounds == ended, "it went on after its context"


async def test_what_is_under_way_has_ended_when_the_context_is_left() -> None:
    """Two works beside each other: one that hangs does not keep the other from its rounds."""
    ended, others = list[str](), asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("hang")

    async def other() -> None:
        others.set()

    async with asyncio.timeout(5), Periodic("leases", (hang, 0.0), (other, 0.0)):
        for _ in range(3):
            others.clear()
            await others.wait()
        assert ended == []
    assert ended == ["hang"]


async def test_a_slow_round_does_not_put_off_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a round takes is taken off the wait; one that takes longer is followed at once."""
    sleep, waits, enough = asyncio.sleep, list[float](), asyncio.Event()

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            enough.set()
            await asyncio.Event().wait()

    async def what() -> None:
        await sleep(0.05 if not waits else 0.2)

    monkeypatch.setattr(asyncio, "sleep", wait)
    async with asyncio.timeout(5), Periodic("leases", (what, 0.1)):
        await enough.wait()
    assert 0 <= waits[0] <= 0.1 - 0.04
    assert waits[1] == 0
