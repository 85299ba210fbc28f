"""The labels of a run's jobs, by which Google's billing export and INFORMATION_SCHEMA.JOBS tell whose they are. Pure."""

import re
from typing import Final

from services.executor.records import Run

LENGTH: Final = 63
"""Of a key or a value (BigQuery, "Requirements for labels")."""


def run_labels(run: Run) -> dict[str, str]:
    """The labels of a run's jobs. A tenant id of 64 characters loses its last one."""
    pipeline = run.pipeline_id.removeprefix(f"{run.tenant_id}-")
    labels = {"tenant": label(run.tenant_id), "run": label(run.pipeline_logging_id), "pipeline": label(pipeline)}
    return labels | ({"trace_id": run.trace_id} if run.trace_id else {})


def label(text: str) -> str:
    """As a label's value: lower-case letters, digits, `_` and `-`, at most 63."""
    return re.sub(r"[^a-z0-9_-]", "_", text.lower())[:LENGTH]
