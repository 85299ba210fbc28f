"""What no caller is left to hear is logged as a line, not as a bug of ours."""

import asyncio
import gc
from collections.abc import Coroutine

import pytest
from structlog.testing import capture_logs

from services.platform.background import note_end
from services.platform.errors import ResourceExhausted


async def refused() -> None:
    await asyncio.sleep(0)
    raise ResourceExhausted("CONCURRENT_LIMIT_REACHED", "as many as may")


async def broken() -> None:
    await asyncio.sleep(0)
    raise ValueError("a secret")


@pytest.mark.parametrize(("work", "event"), [(refused, "background_work_refused"), (broken, "background_work_failed")])
async def test_work_whose_caller_has_gone_ends_without_a_traceback(work: object, event: str, caplog: pytest.LogCaptureFixture) -> None:
    task = asyncio.ensure_future(_called(work))
    task.add_done_callback(note_end)
    caller = asyncio.ensure_future(_wait(task))
    await asyncio.sleep(0)
    caller.cancel()
    with capture_logs() as lines:
        await asyncio.wait([task, caller])
        await asyncio.sleep(0)
    del task
    gc.collect()
    assert [line["event"] for line in lines] == [event]
    assert "never retrieved" not in caplog.text
    assert "a secret" not in str(lines)


async def test_a_caller_that_is_there_gets_the_error() -> None:
    task = asyncio.create_task(refused())
    task.add_done_callback(note_end)
    with pytest.raises(ResourceExhausted):
        await asyncio.shield(task)


def _called(work: object) -> Coroutine[None, None, None]:
    assert callable(work)
    made: Coroutine[None, None, None] = work()
    return made


async def _wait(task: asyncio.Task[None]) -> None:
    await asyncio.shield(task)
