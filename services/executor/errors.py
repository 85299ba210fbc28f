"""Why a step or a run did not work out, in words for the tenant."""

from collections.abc import Mapping
from typing import Any


class StepFailed(Exception):
    """A step cannot be done. Its message is shown to the tenant and stored, so it holds no secret and no other system's own text."""

    def __init__(self, message: str, *, can_heal: bool = False, metadata: Mapping[str, Any] | None = None) -> None:
        """`can_heal`: the same step may work if it is tried again a little later; if not, another attempt of the run is no use either.
        `metadata`: what else is for the step's log line; JSON values, no secrets.
        """
        super().__init__(message)
        self.message = message
        self.can_heal = can_heal
        self.metadata = metadata or {}


class RunLost(StepFailed):
    """The fence refused: the run is no longer RUNNING, or another attempt has taken over. Nothing was published."""

    def __init__(self) -> None:
        super().__init__("The run was ended or replaced while it worked. Nothing was published.", can_heal=True)
