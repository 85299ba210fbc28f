"""What BigQuery bills a job, which the emulator does not say, and the limit that a job may set ("Estimate and control costs").

BigQuery bills at least 10 MiB for each table that a statement reads. Here every statement of a job is billed the same, whatever it reads.
"""

import json
import re
import threading
from dataclasses import dataclass, field
from typing import Any

from tests.support.strict_bigquery import refused
from tests.support.strict_bigquery.script import Kind, parse

SLOT_MS = 250
"""Of each statement."""
_LABELS = re.compile(rb'"labels"\s*:\s*(\{[^{}]*\})')
_FREE = frozenset({Kind.BEGIN, Kind.COMMIT})


@dataclass(frozen=True, kw_only=True, slots=True)
class BilledJob:
    """A job that was handed in."""

    labels: dict[str, str]
    most: int | None
    """Its maximumBytesBilled."""
    statement_most: int | None
    """The byte budget of each of its statements, if it is a script."""
    bytes_billed: int
    slot_ms: int


@dataclass(kw_only=True)
class Billing:
    """The jobs of all callers."""

    bytes_per_statement: int = 0
    """0: nothing is billed."""
    jobs: dict[str, BilledJob] = field(default_factory=dict)
    """By id; of jobs without an id of the caller's, by `jobs.query`, none."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, sql: str, body: bytes) -> None:
        """A job is handed in. Raises Refused if it would be billed more than it allows."""
        request = _json(body)
        configuration = request.get("configuration", request)
        query = configuration.get("query", request) if isinstance(configuration.get("query"), dict) else request
        if configuration.get("dryRun"):
            return
        statements = [one for one in parse(sql, "") if one.kind not in _FREE]
        labels = _LABELS.search(body)
        most, budget = query.get("maximumBytesBilled"), query.get("scriptOptions", {}).get("statementByteBudget")
        job = BilledJob(
            labels=json.loads(labels[1]) if labels else {},
            most=int(most) if most else None,
            statement_most=int(budget) if budget else None,
            bytes_billed=len(statements) * self.bytes_per_statement,
            slot_ms=max(1, len(statements)) * SLOT_MS,
        )
        if job.most is not None and job.bytes_billed > job.most:
            raise refused.too_many_bytes(job.most, job.bytes_billed)
        if identity := re.search(rb'"jobId"\s*:\s*"([^"]+)"', body):
            with self._lock:
                self.jobs[identity[1].decode()] = job

    def shown(self, answer: bytes) -> bytes:
        """The emulator's answer, with what the job in it is billed."""
        resource = _json(answer)
        job = self.jobs.get(resource.get("jobReference", {}).get("jobId", ""))
        if job is None or "statistics" not in resource:
            return answer
        statistics: dict[str, Any] = resource["statistics"]
        statistics["totalSlotMs"] = str(job.slot_ms)
        if "query" in statistics:
            statistics["query"] |= {"totalBytesBilled": str(job.bytes_billed), "totalSlotMs": str(job.slot_ms)}
        return json.dumps(resource).encode()


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
