"""A campaign with a fixed seed: every kind of fault at least once, all flows meanwhile, and everything holds afterwards.

It says of all of these at once what separate tests once did: an executor killed during a run, between load and replace, and while scheduled
runs are under way; a scheduler killed with claims; processes that are stopped, frozen and cut off. `make chaos` runs longer ones.
"""

from collections.abc import Callable

import pytest

from tests.support.chaos.campaign import Plan, prepare
from tests.support.chaos.faults import KINDS
from tests.support.chaos.world import World

SECONDS = 30.0
FAULTS = len(KINDS)


@pytest.mark.timeout(600)
def test_nothing_is_lost_doubled_or_leaked(world: World, record_property: Callable[[str, object], None]) -> None:
    report = prepare(world, Plan(seed=17, faults=FAULTS, seconds=SECONDS, is_thorough=False)).run()

    record_property("chaos", report.text())
    assert not report.violations, report.text()
    kinds = {one.fault.kind for one in report.happened}
    assert len(kinds) >= 8, report.text()
    assert report.rows["runs"]["api COMPLETED"] > 0, report.text()
    assert report.rows["scheduled runs"]["COMPLETED"] > 0, report.text()
