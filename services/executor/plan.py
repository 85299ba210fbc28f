"""Whether a step runs, given how the steps before it ended."""

from collections.abc import Mapping
from enum import StrEnum

from services.executor.runs import StepStatus


class When(StrEnum):
    """A step's condition, as a template writes it."""

    ON_SUCCESS = "on_success"
    """All steps that it needs are COMPLETED."""
    ON_FAILURE = "on_failure"
    """Some step of the run has FAILED."""
    ALWAYS = "always"


def should_run(*, needs: tuple[str, ...], when: When, ended: Mapping[str, StepStatus]) -> bool:
    """True if the step is to run, false if it is to be SKIPPED. `ended` holds every step that has ended, by id."""
    if when is When.ALWAYS:
        return True
    if when is When.ON_FAILURE:
        return StepStatus.FAILED in ended.values()
    return all(ended.get(step) is StepStatus.COMPLETED for step in needs)
