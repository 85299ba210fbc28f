"""Statements sent to BigQuery, from our own metrics."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import REGISTRY


@dataclass(kw_only=True, slots=True)
class Row:
    """One line of the report. Filled in when its `measured` context is left."""

    name: str
    at_once: int
    seconds: float = 0.0
    jobs: int = 0
    """Repeated submissions included."""
    again: int = 0
    statements: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By table and kind: dml, read, stream."""


def statements_of(families: Iterable[Any]) -> Counter[tuple[str, ...]]:
    """Our BigQuery counters, from a registry or a scraped page: by name, and label values in the order of their names."""
    return Counter(
        {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): int(sample.value)
            for family in families
            for sample in family.samples
            if sample.name.startswith("convergence_bigquery_") and sample.name.endswith("_total")
        }
    )


def fill(row: Row, before: Counter[tuple[str, ...]], after: Counter[tuple[str, ...]]) -> None:
    """Writes the difference of the counts into the row."""
    for (name, *labels), count in (after - before).items():
        match name, labels:
            case "convergence_bigquery_jobs_total", _:
                row.jobs += count
            case "convergence_bigquery_retries_total", _:
                row.again += count
            case "convergence_bigquery_statements_total", [kind, table]:
                row.statements[table, kind] += count
            case _:
                pass


@contextmanager
def measured(name: str, at_once: int) -> Iterator[Row]:
    """Measures time and counts of this process in the context. Nothing else may use BigQuery meanwhile."""
    row = Row(name=name, at_once=at_once)
    before, began = statements_of(REGISTRY.collect()), time.monotonic()
    yield row
    row.seconds = time.monotonic() - began
    fill(row, before, statements_of(REGISTRY.collect()))
