"""Whether a step runs, given how the steps before it ended, and in which order steps can."""

from collections.abc import Mapping
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter

from services.executor.records import StepStatus


class When(StrEnum):
    """A step's condition, as a template writes it.

    The first kind is the run's work. The others are its epilogue: they begin when all of the work has ended, so what they see does not
    depend on which of two steps was faster. They run after a failure, a time that was up and a cancel, too.
    """

    ON_SUCCESS = "on_success"
    """All steps that it needs are COMPLETED."""
    ON_FAILURE = "on_failure"
    """Some step has FAILED, or the run was stopped."""
    ALWAYS = "always"


def should_run(*, needs: tuple[str, ...], when: When, ended: Mapping[str, StepStatus], stopped: bool = False) -> bool:
    """True if the step is to run, false if it is to be SKIPPED. `ended` holds how every step it may look at has ended, by id."""
    if when is When.ALWAYS:
        return True
    if when is When.ON_FAILURE:
        return stopped or StepStatus.FAILED in ended.values()
    return all(ended.get(step) is StepStatus.COMPLETED for step in needs)


def find_cycle(needs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Steps that need each other in a circle, each the one after it, the first one again at the end; empty if there is none."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        # graphlib names them the other way round: each is needed by the one after it.
        return list(reversed(error.args[1]))
    return []


def topological_order(needs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The steps, each after all that it needs; else as they come. `needs` must be without a circle."""
    order, left = list[str](), list(needs)
    while left:
        step = next(one for one in left if all(need in order for need in needs[one]))
        order.append(step)
        left.remove(step)
    return order


def ancestors(step: str, needs: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """All that a step needs, and that they need, and so on."""
    return frozenset(needs[step]).union(*(ancestors(need, needs) for need in needs[step]))
