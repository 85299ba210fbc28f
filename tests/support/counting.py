"""Statements that this process has sent to BigQuery, from our own counters."""

from services.platform.metrics import BIGQUERY_JOBS


def jobs(statement: str | None = None) -> float:
    """Jobs submitted so far: of one statement, or of all."""
    samples = [sample for metric in BIGQUERY_JOBS.collect() for sample in metric.samples if sample.name.endswith("_total")]
    return sum(sample.value for sample in samples if statement is None or statement in sample.labels.values())
