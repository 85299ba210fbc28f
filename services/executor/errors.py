"""Errors of a step or a run, worded for the tenant."""

from collections.abc import Mapping
from typing import Any


class StepError(Exception):
    """A step failed. The message is shown to the tenant and stored, so it contains no secret and no other system's text."""

    def __init__(self, message: str, *, is_retryable: bool = False, metadata: Mapping[str, Any] | None = None) -> None:
        """`is_retryable`: the same step may succeed later; if false, another attempt of the run is useless, too.
        `metadata`: more for the step's log line; JSON values, no secrets.
        """
        self.message = message.encode(errors="replace").decode()  # half of a surrogate pair, of a tenant's file, cannot be stored
        super().__init__(self.message)
        self.is_retryable = is_retryable
        self.metadata = metadata or {}


class FenceLost(StepError):
    """The fence refused the publish: the run is no longer RUNNING, or another attempt has replaced it. Nothing was published."""

    def __init__(self) -> None:
        super().__init__("The run was ended or replaced while it worked. Nothing was published.", is_retryable=True)
