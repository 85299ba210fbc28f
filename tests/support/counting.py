"""Statements that this process has sent to BigQuery, from our own counters."""

from collections import Counter

from services.platform.metrics import BIGQUERY_JOBS, BIGQUERY_LISTINGS, BIGQUERY_STATEMENTS


def jobs(statement: str | None = None) -> float:
    """Jobs submitted so far: of one statement, or of all."""
    samples = [sample for metric in BIGQUERY_JOBS.collect() for sample in metric.samples if sample.name.endswith("_total")]
    return sum(sample.value for sample in samples if statement is None or statement in sample.labels.values())


def asked(statement: str | None = None) -> float:
    """Jobs so far, and listings of small tables that have spared one: of one statement, or of all."""
    samples = [sample for metric in BIGQUERY_LISTINGS.collect() for sample in metric.samples if sample.name.endswith("_total")]
    return jobs(statement) + sum(sample.value for sample in samples if statement in {None, sample.labels["statement"]})


def references() -> Counter[str]:
    """Tables in statements so far, by table: what BigQuery charges a minimum for. Loads and streamed rows are free of it."""
    samples = [sample for metric in BIGQUERY_STATEMENTS.collect() for sample in metric.samples if sample.name.endswith("_total")]
    found = Counter[str]()
    for sample in samples:
        if sample.labels["kind"] in {"dml", "read"}:
            found[sample.labels["table"]] += int(sample.value)
    return found
