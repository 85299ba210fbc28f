"""The work of a run, as the neighbours do it: a day of an export is read, checked, and replaced in one transaction."""

import os
from pathlib import Path

import duckdb

PREPARE = """
COPY (
  SELECT $day::TIMESTAMP + INTERVAL (i % 24) HOUR AS usage_start, 'service ' || (i % 7) AS service, 'USD' AS currency,
    0.25 + i * 0.01 AS cost, 'project ' || (i % 3) AS project
  FROM range(200) AS r(i)
) TO '{target}'
"""
EXTRACT = "COPY (FROM '{source}') TO '{target}'"
CHECKS = """
SELECT COUNT(*) > 0, COUNT(*) = $rows, COUNT_IF(cost IS NULL) = 0, COUNT_IF(NOT isfinite(cost)) = 0, COUNT_IF(currency IS NULL) = 0,
  COUNT(DISTINCT currency) <= 1, COUNT_IF(service IS NULL) = 0, COUNT_IF(usage_start::DATE != $day::DATE) = 0, SUM(cost) > 0
FROM '{source}'
"""
PUBLISH = """
CREATE TABLE IF NOT EXISTS costs (usage_start TIMESTAMP, service TEXT, currency TEXT, cost DOUBLE, project TEXT);
BEGIN;
DELETE FROM costs WHERE usage_start::DATE = '{day}';
INSERT INTO costs FROM '{source}';
COMMIT;
"""


def folder() -> Path:
    """Where the data are; from the environment."""
    return Path(os.environ["PEERS_DATA"])


def export(day: str) -> Path:
    """The day's export."""
    return folder() / f"{day}.parquet"


def staging(run: str) -> Path:
    """What a run has read."""
    return folder() / f"staging-{run}.parquet"


def prepare(days: list[str]) -> None:
    """Writes the exports, 200 rows of each day."""
    for day in days:
        duckdb.execute(PREPARE.format(target=export(day)), {"day": day})


def extract(day: str, run: str) -> int:
    """Reads the day; the number of rows."""
    duckdb.execute(EXTRACT.format(source=export(day), target=staging(run)))
    [(rows,)] = duckdb.from_parquet(str(staging(run))).count("*").fetchall()
    return int(rows)


def check(day: str, run: str, rows: int) -> None:
    """Nine checks in one query. Raises ValueError if one fails."""
    [verdicts] = duckdb.execute(CHECKS.format(source=staging(run)), {"rows": rows, "day": day}).fetchall()
    if not all(verdicts):
        raise ValueError(f"checks failed: {verdicts}")


def publish(day: str, run: str) -> None:
    """Replaces the day."""
    with duckdb.connect(str(folder() / "published.duckdb")) as published:
        published.execute(PUBLISH.format(day=day, source=staging(run)))
