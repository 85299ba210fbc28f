"""Campaigns with fixed seeds: faults, all flows meanwhile, and everything holds afterwards.

They say of all of these at once what separate tests once did: an executor killed during a run, between load and replace, and while
scheduled runs are under way; a scheduler killed with claims; processes that are stopped, frozen and cut off. `make chaos` runs longer ones.
"""

from collections.abc import Callable

import pytest

from tests.support.chaos.campaign import Plan, prepare
from tests.support.chaos.faults import KINDS
from tests.support.chaos.report import Report
from tests.support.chaos.world import World

MANY, SECONDS = 12, 60.0
"""It ends with the twelfth fault, which an idle machine has seen in twenty seconds."""

type Record = Callable[[str, object], None]


def broken(world: World, plan: Plan, record_property: Record) -> Report:
    """The report of a campaign in which everything held."""
    report = prepare(world, plan).run()
    record_property("chaos", report.text())
    assert not report.violations, report.text()
    return report


@pytest.mark.timeout(600)
def test_each_kind_of_fault_once(world: World, record_property: Record) -> None:
    """Four at a time, of a seed whose faults are short: among them a kill behind the commit of a publish, and a lost answer."""
    kinds = tuple(dict.fromkeys(KINDS))
    plan = Plan(seed=139, faults=len(kinds), seconds=SECONDS, actors=1, lanes=4, limits=[{}], kinds=kinds, deals=1, is_thorough=False)

    report = broken(world, plan, record_property)

    assert len(report.broken) == len(kinds), report.text()


@pytest.mark.timeout(600)
def test_nothing_is_lost_doubled_or_leaked(world: World, record_property: Record) -> None:
    plan = Plan(seed=17, faults=MANY, seconds=SECONDS, actors=2, pause=0.5, is_thorough=False)

    report = broken(world, plan, record_property)

    kinds = {one.fault.kind for one in report.happened}
    assert len(kinds) >= 5, report.text()
    assert report.rows["runs"]["api COMPLETED"] > 0, report.text()
    assert report.rows["scheduled runs"]["COMPLETED"] > 0, report.text()
