"""From what a checks query measured to verdicts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.executor.failures import StepFailed

SEVERITIES = ("error", "warn")


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check of a template: the SQL measures, this judges."""

    name: str
    severity: str
    """error: its failure fails the run before anything is published; warn: it is only recorded."""
    expect: str
    """What it is held against, in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """How one check came out."""

    check: Check
    failing_rows: int
    observed_value: str | None

    @property
    def passed(self) -> bool:
        """True if no row breaks the rule."""
        return self.failing_rows == 0


def judge(checks: Sequence[Check], measured: Iterable[Mapping[str, Any]]) -> list[Verdict]:
    """A verdict a check, in the template's order. Raises StepFailed if the query has not measured one of them."""
    found = {row["check_name"]: row for row in measured}
    missing = [check.name for check in checks if check.name not in found]
    if missing:
        raise StepFailed(f"The checks query does not measure {', '.join(missing)}; this template is broken.")
    return [
        Verdict(check=check, failing_rows=int(found[check.name]["failing_rows"]), observed_value=found[check.name]["observed_value"])
        for check in checks
    ]


def refuse_errors(verdicts: Iterable[Verdict]) -> None:
    """Raises StepFailed, naming the checks, if one of severity error has failed."""
    broken = [verdict for verdict in verdicts if not verdict.passed and verdict.check.severity == "error"]
    if broken:
        told = "; ".join(f"{v.check.name} (expected {v.check.expect}, {v.failing_rows} rows fail)" for v in broken)
        raise StepFailed(f"Quality checks failed, nothing was published: {told}.")
