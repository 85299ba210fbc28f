"""A campaign with a fixed seed: a dozen faults, all flows meanwhile, and everything holds afterwards.

It says of all of these at once what separate tests once did: an executor killed during a run, between load and replace, and while scheduled
runs are under way; a scheduler killed with claims; processes that are stopped, frozen and cut off. `make chaos` runs longer ones.
"""

from collections.abc import Callable

import pytest

from tests.support.chaos.campaign import Plan, prepare
from tests.support.chaos.world import World

FAULTS, SECONDS = 12, 60.0
"""It ends with the twelfth fault, which an idle machine has seen in twenty seconds."""


@pytest.mark.timeout(600)
def test_nothing_is_lost_doubled_or_leaked(world: World, record_property: Callable[[str, object], None]) -> None:
    report = prepare(world, Plan(seed=17, faults=FAULTS, seconds=SECONDS, actors=2, pause=0.5, is_thorough=False)).run()

    record_property("chaos", report.text())
    assert not report.violations, report.text()
    kinds = {one.fault.kind for one in report.happened}
    assert len(kinds) >= 5, report.text()
    assert report.rows["runs"]["api COMPLETED"] > 0, report.text()
    assert report.rows["scheduled runs"]["COMPLETED"] > 0, report.text()
