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
    """The command that corrects it, or shows the cause."""

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
        return {
            "check": self.check,
            "status": self.status,
            "why_skipped": self.skipped,
            "findings": [one.as_json() for one in self.findings],
        }


def read_looked(found: dict[str, Any]) -> Looked:
    """The opposite of `as_json`. Raises KeyError or TypeError for anything else."""
    findings = [Finding(**{name: one[name] for name in ("name", "subject", "problem", "mend")}) for one in found["findings"]]
    return Looked(check=found["check"], skipped=found["why_skipped"], findings=findings)
