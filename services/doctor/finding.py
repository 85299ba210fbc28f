"""What is found, and what became of each check; as JSON it is the same as `convergence doctor --json`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something that is wrong."""

    name: str
    """Stable, e.g. `control-table-missing`; docs/cli.md lists all."""
    subject: str
    """What it is about, e.g. a table."""
    problem: str
    """A sentence: what is wrong, and what it leads to."""
    mend: str
    """The command that mends it, or shows why."""

    @property
    def runbook(self) -> str:
        """Where it is explained: page and anchor."""
        return f"docs/runbook.md#{self.name}"

    def as_json(self) -> dict[str, str]:
        """For programs."""
        return {**asdict(self), "runbook": self.runbook}


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """One check, after it was done."""

    check: str
    findings: Sequence[Finding] = ()
    skipped: str = ""
    """Why it could not look; empty: it did."""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        status = "PROBLEM" if self.findings else "SKIPPED" if self.skipped else "OK"
        return {"check": self.check, "status": status, "why_skipped": self.skipped, "findings": [one.as_json() for one in self.findings]}


class NotChecked(Exception):
    """A check cannot look; the text says why."""
