"""The states of a key's versions that the local KMS knows, and the refusal of those that are not enabled."""

from enum import StrEnum


class VersionState(StrEnum):
    """The states of Cloud KMS that a version can have here. DESTROY_SCHEDULED and DESTROYED are of keys that encrypt alone."""

    PENDING_GENERATION = "PENDING_GENERATION"
    ENABLED = "ENABLED"
    DISABLED = "DISABLED"
    DESTROY_SCHEDULED = "DESTROY_SCHEDULED"
    DESTROYED = "DESTROYED"


class WrongState(Exception):
    """The version's state does not allow the call."""

    def __init__(self, version: str, state: VersionState, wanted: str = "enabled") -> None:
        """`version`: its full name."""
        super().__init__(f"{version} is not {wanted}, current state is: {state}.")
