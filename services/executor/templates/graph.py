"""The graph of steps: in which order they can run, and whether a step runs, given how the steps before it ended."""

from collections.abc import Mapping
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter

from services.executor.records import StepStatus


class When(StrEnum):
    """A step's condition, as a template writes it.

    ON_SUCCESS steps are the run's work. The others are its final steps: they begin when all work has ended, so what they see does not
    depend on which of two steps was faster. They also run after a failure, a timeout or a cancel.
    """

    ON_SUCCESS = "on_success"
    """All steps that it needs are COMPLETED."""
    ON_FAILURE = "on_failure"
    """A step has FAILED, or the run was stopped."""
    ALWAYS = "always"


def should_run(*, needs: tuple[str, ...], when: When, ended: Mapping[str, StepStatus], stopped: bool = False) -> bool:
    """True if the step runs, False if it is SKIPPED. `ended` holds the final status of every step that it depends on, by id."""
    if when is When.ALWAYS:
        return True
    if when is When.ON_FAILURE:
        return stopped or StepStatus.FAILED in ended.values()
    return all(ended.get(step) is StepStatus.COMPLETED for step in needs)


def find_cycle(needs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """A cycle of steps, each needing the next, with the first one repeated at the end; empty if there is none."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        # graphlib returns it in the opposite order: each is needed by the next.
        return list(reversed(error.args[1]))
    return []


def topological_order(needs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The steps, each after those that it needs, otherwise in the given order. `needs` must have no cycle."""
    order, left = list[str](), list(needs)
    while left:
        step = next(one for one in left if all(need in order for need in needs[one]))
        order.append(step)
        left.remove(step)
    return order


def ancestors(step: str, needs: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """All steps that a step needs, directly or indirectly."""
    return frozenset(needs[step]).union(*(ancestors(need, needs) for need in needs[step]))
