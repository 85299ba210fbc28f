"""What a doctor finds, and what became of each check."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something that is wrong."""

    name: str
    """Stable, e.g. `service-down`; docs/cli.md lists all."""
    subject: str
    """What it is about, e.g. `executor`."""
    problem: str
    """A sentence: what is wrong, and what it leads to."""
    mend: str
    """The command that mends it, or shows why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """One check, after it was done."""

    check: str
    findings: Sequence[Finding] = field(default_factory=tuple)
    skipped: str = ""
    """Why it could not look; empty: it did."""

    @property
    def status(self) -> str:
        """OK, PROBLEM or SKIPPED."""
        if self.findings:
            return "PROBLEM"
        return "SKIPPED" if self.skipped else "OK"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"check": self.check, "status": self.status, "why_skipped": self.skipped, "findings": [asdict(one) for one in self.findings]}


def read_looked(found: dict[str, Any]) -> Looked:
    """The opposite of `as_json`. Raises KeyError or TypeError for anything else."""
    return Looked(check=found["check"], skipped=found["why_skipped"], findings=[Finding(**one) for one in found["findings"]])
