"""A violated invariant."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """The invariant, the place, and the evidence."""

    invariant: str
    """Its short name, e.g. `ledger.units`."""
    where: str
    """A tenant, run, day or file."""
    what: str
    """What was expected and what is there."""

    def __str__(self) -> str:
        return f"{self.invariant} [{self.where}]: {self.what}"
