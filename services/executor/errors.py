"""Why a step or a run did not work out, in words for the tenant."""

from collections.abc import Mapping
from typing import Any


class StepError(Exception):
    """A step cannot be done. Its message is shown to the tenant and stored, so it holds no secret and no other system's own text."""

    def __init__(self, message: str, *, is_retryable: bool = False, metadata: Mapping[str, Any] | None = None) -> None:
        """`is_retryable`: the same step may work if it is tried again a little later; if not, another attempt of the run is no use either.
        `metadata`: what else is for the step's log line; JSON values, no secrets.
        """
        super().__init__(message)
        self.message = message
        self.is_retryable = is_retryable
        self.metadata = metadata or {}


class FenceLost(StepError):
    """The fence refused: the run is no longer RUNNING, or another attempt has taken over. Nothing was published."""

    def __init__(self) -> None:
        super().__init__("The run was ended or replaced while it worked. Nothing was published.", is_retryable=True)
