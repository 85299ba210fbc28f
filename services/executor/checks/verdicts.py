"""Turns the result of a checks query into verdicts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.executor.checks.samples import Sample, read_sample
from services.executor.errors import StepError

SEVERITIES = ("error", "warn")


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """Name, severity and expectation of one check; the query returns failing_rows."""

    name: str
    severity: str
    """error: a failure fails the run before anything is published; warn: it is only recorded."""
    expect: str
    """The rule as text."""
    sampled: tuple[str, ...] = ()
    """The columns of its sample; empty: no sample."""
    of_whole_days: bool = False
    """True: the check does not apply to a run that reads parts of days only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The result of one check."""

    check: Check
    failing_rows: int
    observed_value: str | None
    sample: Sample
    """Some of the rows that break the rule; empty unless the check samples."""

    @property
    def passed(self) -> bool:
        """True if no row breaks the rule."""
        return self.failing_rows == 0


def judge(checks: Sequence[Check], measured: Iterable[Mapping[str, Any]]) -> list[Verdict]:
    """One verdict a check, in the template's order. Raises StepError unless the query has measured exactly these checks, each once, as a
    number of rows.
    """
    rows = list(measured)
    answered, wanted = Counter(row["check_name"] for row in rows), {check.name for check in checks}
    wrong = {
        "does not measure": [name for name in wanted if name not in answered],
        "measures what is no check:": [name for name in answered if name not in wanted],
        "measures more than once:": [name for name, count in answered.items() if count > 1],
    }
    for how, names in wrong.items():
        if names:
            raise StepError(f"The checks query {how} {', '.join(sorted(str(name) for name in names))}; this template is broken.")
    found = {row["check_name"]: row for row in rows}
    return [_verdict(check, found[check.name]) for check in checks]


def _verdict(check: Check, row: Mapping[str, Any]) -> Verdict:
    if row["failing_rows"] is None:
        raise StepError(f"The checks query counts no rows for {check.name}, not even 0: its failing_rows is NULL; this template is broken.")
    sample = read_sample(check.sampled, row["sample_rows"]) if check.sampled else []
    return Verdict(check=check, failing_rows=int(row["failing_rows"]), observed_value=row["observed_value"], sample=sample)


def refuse_errors(verdicts: Sequence[Verdict]) -> None:
    """Raises StepError, naming the checks, if a check of severity error has failed."""
    broken = [verdict for verdict in verdicts if not verdict.passed and verdict.check.severity == "error"]
    if broken:
        failures = "; ".join(f"{v.check.name} (expected {v.check.expect}, {v.failing_rows} rows fail{_observed(v)})" for v in broken)
        raise StepError(f"Quality checks failed, what they guard was not published: {failures}.", metadata=shown_samples(verdicts))


def _observed(verdict: Verdict) -> str:
    is_count = verdict.observed_value in {None, str(verdict.failing_rows)}
    return "" if is_count else f", observed: {verdict.observed_value}"


def shown_samples(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """The samples for the step's log line, by check; empty if there are none."""
    samples = {verdict.check.name: verdict.sample for verdict in verdicts if verdict.sample}
    return {"samples": samples} if samples else {}
