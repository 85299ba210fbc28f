"""What a campaign has done and found, as numbers."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

from tests.support.chaos.faults import Fault
from tests.support.invariants import Tables, Violation
from tests.support.invariants.tables import Row


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A fault that is over."""

    fault: Fault
    recovered_seconds: float


@dataclass(kw_only=True)
class Report:
    """One campaign."""

    seed: int
    seconds: float = 0.0
    rest_seconds: float = 0.0
    """From the last fault until nothing moved any more."""
    broken: list[Broken] = field(default_factory=list)
    answers: Mapping[str, Counter[str]] = field(default_factory=dict)
    """By action."""
    statements: Counter[str] = field(default_factory=Counter)
    rows: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    violations: Sequence[Violation] = ()

    @property
    def happened(self) -> list[Broken]:
        """Faults that have hurt something."""
        return [one for one in self.broken if one.fault.has_happened]

    @property
    def faults(self) -> int:
        """How many; each answer that a trap has broken is one."""
        return sum(len(one.fault.trap.reached) if one.fault.trap else 1 for one in self.broken)

    def by_kind(self) -> Mapping[str, Mapping[str, Any]]:
        """Faults, and the seconds until callers were served again."""
        found = defaultdict[str, list[Broken]](list)
        for one in self.happened:
            found[one.fault.kind].append(one)
        return {
            kind: {
                "count": sum(len(one.fault.trap.reached) if one.fault.trap else 1 for one in ones),
                "recovered_seconds_mean": round(mean(one.recovered_seconds for one in ones), 2),
                "recovered_seconds_most": round(max(one.recovered_seconds for one in ones), 2),
                "where": dict(Counter(one.fault.where for one in ones).most_common(40)),
            }
            for kind, ones in sorted(found.items())
        }

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "rest_seconds": round(self.rest_seconds, 1),
            "faults": self.faults,
            "faults_by_kind": self.by_kind(),
            "actions": sum(sum(counts.values()) for counts in self.answers.values()),
            "answers": {action: dict(counts.most_common()) for action, counts in sorted(self.answers.items())},
            "statements": sum(self.statements.values()),
            "statements_by_name": dict(self.statements.most_common()),
            "rows": self.rows,
            "violations": [str(one) for one in self.violations],
        }

    def write(self, path: Path) -> None:
        """As JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=2, default=str) + "\n")

    def text(self) -> str:
        """A table for people."""
        lines = [f"seed {self.seed}: {self.faults} faults in {self.seconds:.0f} s, at rest after {self.rest_seconds:.0f} s more", ""]
        lines += [f"{'fault':<28}{'count':>6}{'back after (mean, most)':>26}"]
        for kind, one in self.by_kind().items():
            lines += [f"{kind:<28}{one['count']:>6}{one['recovered_seconds_mean']:>17.1f} s{one['recovered_seconds_most']:>6.1f} s"]
        lines += ["", f"{'action':<28}answers"]
        for action, counts in sorted(self.answers.items()):
            lines += [f"{action:<28}" + ", ".join(f"{count} x {said}" for said, count in counts.most_common(6))]
        lines += ["", f"statements: {sum(self.statements.values())}"]
        lines += [f"{name}: " + ", ".join(f"{count} {state}" for state, count in counts.items()) for name, counts in self.rows.items()]
        lines += ["", "all invariants hold" if not self.violations else f"{len(self.violations)} VIOLATIONS"]
        return "\n".join([*lines, *(f"  {one}" for one in self.violations)])


def rows_of(tables: Tables) -> Mapping[str, Mapping[str, int]]:
    """What is in the tables, counted by state."""
    tenants = tables.tenants.values()
    return {
        "runs": Counter(f"{run['trigger_type']} {run['status']}" for tenant in tenants for run in tenant.runs),
        "scheduled runs": Counter(run["state"] for run in tables.scheduled_runs),
        "failures of scheduled runs": {"counted": sum(run["retry_count"] for run in tables.scheduled_runs)},
        "audit entries": Counter(row["outcome"] for row in tables.audit_log),
        "credentials": Counter(row["provider"] for row in tables.credentials),
        "published rows": {"billing": sum(len(one.billing) for one in tenants), "focus": sum(len(one.focus) for one in tenants)},
        "days whose FOCUS lags": {"until the next run": sum(_lags(entry) for one in tenants for entry in one.days)},
        "left staging tables": {"expiring": sum(len(one.staging) for one in tenants)},
    }


def _lags(entry: Row) -> bool:
    return (entry["focus_version"] or 0) < (entry["source_version"] or 0)
