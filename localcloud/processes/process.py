"""What a process of the stack is: a command, its environment, and how to know that it is ready."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# Answers None when the process is ready, else what it still lacks, for people. Called every 0.04 s, so it must not block.
type Ready = Callable[[], str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One child process of the stack, as it is to be started."""

    name: str
    """Unique in the stack; also the log file's name."""
    command: tuple[str, ...]
    """Program and arguments."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Besides the few variables that every process gets; nothing else is inherited."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """The ports it will listen on, by the setting that chooses them."""
    needs: tuple[str, ...] = ()
    """The processes that must be ready before this one is started, where the stack has them."""
    uses: tuple[str, ...] = ()
    """The processes it calls while it runs: it may start before them, but is stopped before them, so that it can finish its work."""
    ready: Ready | None = None
    """None for a process that does its work and ends: it is ready when it has ended with exit status 0."""


class ProcessFailed(Exception):
    """A process did not become ready. Its text is all that a person needs: which process, what happened, the end of its log."""


class PortInUse(Exception):
    """A port that a process needs is taken. Its text says which process, which port and how to choose another."""
