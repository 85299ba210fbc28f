"""Two steps that are one: a step that can do another step's work along with its own, in one statement."""

from typing import Protocol, runtime_checkable

from services.executor.templates.step import Step, StepContext, StepResult


@runtime_checkable
class Joining(Protocol):
    """A step that can do another step's work along with its own."""

    def joined(self, first: Step) -> Step:
        """A step that can do so with `first`; itself if it cannot."""
        ...

    async def run_both(self, first: StepContext, own: StepContext) -> tuple[StepResult, StepResult | None]:
        """The results of both, or that of `first` alone: then this step is still to be run. Raises as `run` of `first` does."""
        ...
