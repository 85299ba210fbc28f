"""A month as Google delivers it: after each run, what is published is the export as it is.

REPLAY_HOURS=all starts a run every hour of it, REPLAY_HOURS=100 the first hundred of these.
"""

import pytest
import structlog

from tests.integration.executor.replay.conftest import Replaying
from tests.support.executor.replay.month import Scale, replayed_month
from tests.support.executor.replay.timeline import EVERY_HOUR, SOAK, Timeline


@pytest.mark.timeout(4 * 3600 if EVERY_HOUR else 900)
async def test_what_is_published_is_the_export_as_it_is(replaying: Replaying) -> None:
    month = replayed_month(scale=SOAK if EVERY_HOUR else Scale())
    timeline = Timeline.of(month)
    async with replaying(month, timeline.recreations) as replay:
        for moment in timeline.runs:
            await replay.pass_time(moment)
            if timeline.is_refused(moment):
                await replay.fail_refused()
            else:
                await replay.run_judged()

        assert replay.judge.behind(replay.judge.last) == set()
        structlog.get_logger().info("replayed", reads=replay.reads)  # shown with -s
        assert sum(one.estimated for one in replay.reads) < 2 * replay.reads[-1].received
        before = [moment for moment in timeline.runs if moment < timeline.recreations[0].at and not timeline.is_refused(moment)]
        whole, *tails = replay.reads[: len(before)]
        assert sum(one.estimated for one in tails) < 2 * (tails[-1].received - whole.received), "what was read before is read again"
        assert replay.cloud.queries == []
