"""A process of the stack: its command, its environment, and how to find out that it is ready."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# Returns None when the process is ready, otherwise what is missing, for people. Called every 0.04 s, so it must not block.
type Ready = Callable[[], str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One child process of the stack."""

    name: str
    """Unique in the stack; also the log file's name."""
    command: tuple[str, ...]
    """Program and arguments."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """In addition to the few variables that every process gets; nothing else is inherited."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """The ports it will listen on, by the setting that chooses them."""
    needs: tuple[str, ...] = ()
    """The processes that must be ready before this one is started, where the stack has them."""
    uses: tuple[str, ...] = ()
    """The processes it calls while it runs: it may start before them, but is stopped before them, so that it can finish its work."""
    ready: Ready | None = None
    """None for a process that does its work and ends: it is ready once it has ended with exit status 0."""


class ProcessFailed(Exception):
    """A process did not become ready. The text says which process, what happened, and the end of its log."""


class PortInUse(Exception):
    """A port that a process needs is in use. The text says which process, which port, and how to choose another."""
