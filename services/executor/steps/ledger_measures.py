"""Composes what a publishing transaction must know of the ledger of days before it replaces rows. Part of `publish_script`, which explains
why the transaction as a whole is safe.
"""

from dataclasses import dataclass
from typing import Final

from services.executor.ledger.store import DAYS
from services.executor.steps.exports_script import PERIODS_SUPERSEDED, REPLACED_PERIODS
from services.executor.steps.ledger_script import DERIVED_FROM, SOURCE, LedgerEntry, LedgerKind

SUPERSEDED: Final = "is_superseded"
"""A newer reading of one of the days has been published."""
KNOWN: Final = (
    "ARRAY<STRUCT<usage_date DATE, first_loaded_at TIMESTAMP, changed_at TIMESTAMP, version INT64, focus_version INT64, state STRING,"
    " state_rule STRING, source_table STRING, source_created_at TIMESTAMP, exported_to TIMESTAMP, is_followed BOOL, is_loaded BOOL>>"
)
"""The type of `known`: the ledger's rows of the run's days before the publish."""
_NEWER_READING: Final = """EXISTS (
  SELECT 1
  FROM UNNEST(q.known) AS k
  INNER JOIN UNNEST(@day_reads) AS r ON r.day = k.usage_date
  WHERE IF(
    k.source_table = r.source_table,
    k.source_created_at > r.source_created_at
      OR IFNULL(k.source_created_at = r.source_created_at, TRUE) AND k.exported_to > r.exported_to,
    r.since IS NOT NULL))"""
VERSIONS: Final = """SELECT g.usage_date AS day, BIT_XOR(FARM_FINGERPRINT(CONCAT(g.run, ' ', CAST(g.row_count AS STRING)))) AS version
    FROM (
      SELECT b.usage_date, IFNULL(b.pipeline_logging_id, '') AS run, COUNT(*) AS row_count
      FROM {rows}
      WHERE b.usage_date BETWEEN @first_day AND @last_day AND b.usage_date IN UNNEST(@run_days)
      GROUP BY b.usage_date, run
    ) AS g
    GROUP BY g.usage_date"""
"""The version of each day in a source's own table, as the step that derives rows has it: whose rows it holds, and how many of each. A run's
rows of a day come in one transaction and then only ever become fewer, so days of one version hold the same rows.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredField:
    """A field of the script's variable `measured`, which one statement of the transaction sets."""

    name: str
    type: str
    """GoogleSQL."""
    sql: str
    """An expression. It may name those of `q` that `is_first` has."""
    is_first: bool = False


_OF_READINGS: Final = (
    MeasuredField(
        name="whole_days",
        type="ARRAY<DATE>",
        sql="""ARRAY(
  SELECT run_day
  FROM UNNEST(@run_days) AS run_day
  WHERE NOT EXISTS (SELECT 1 FROM UNNEST(@day_reads) AS r WHERE r.day = run_day AND r.since IS NOT NULL))""",
    ),
    # BigQuery's arrays have no NULL: days that are read as a whole have a moment, too, which is not looked at.
    MeasuredField(
        name="added_since",
        type="ARRAY<TIMESTAMP>",
        sql="""ARRAY(
  SELECT IFNULL(r.since, TIMESTAMP '0001-01-01 00:00:00+00')
  FROM UNNEST(GENERATE_DATE_ARRAY(@first_day, @last_day)) AS run_day
  LEFT JOIN UNNEST(@day_reads) AS r ON r.day = run_day
  ORDER BY run_day)""",
    ),
    MeasuredField(name="followed", type="ARRAY<STRING>", sql="ARRAY(SELECT m.source_table FROM UNNEST(@watermarks) AS m)"),
)


def not_as_read(rows: str) -> str:
    """A condition: `rows`, an item of a FROM clause with the alias `b`, are not those that the step has read which derives from them."""
    return f"""EXISTS (
  SELECT 1
  FROM (
    {VERSIONS.format(rows=rows)}
  ) AS found
  FULL JOIN UNNEST(@{DERIVED_FROM}) AS seen ON seen.day = found.day
  WHERE IFNULL(found.version != seen.version, TRUE))"""


def ledger_measures(entry: LedgerEntry | None) -> list[MeasuredField]:
    """What must be known of the ledger, and what the conditions compare with by which rows are replaced, see `replace_rows`.

    `is_superseded`: another run has published a newer reading of a day, so that this one must not: rows of the same table that were
    exported later, or of a table that was created later. Where only newer rows are added, the day must also still come from the same
    table. For a table that is derived: the source's own table does not hold the rows that were read of it, because another run has
    published since, or, where they were read before this run's own publish, in between.

    Of readings: `whole_days`, of which all rows are replaced, `added_since`, for each day from the first to the last one since when its
    rows are replaced, and `followed`, the tables whose watermarks move. Of months: `replaced_periods`, see `REPLACED_PERIODS`.
    """
    if entry is None:
        return []
    if entry.kind is LedgerKind.DERIVED:
        return [MeasuredField(name=SUPERSEDED, type="BOOL", sql=not_as_read(f"{entry.derived_from} AS b"))]
    known = f"""ARRAY(
  SELECT AS STRUCT
    d.usage_date, d.first_loaded_at, d.changed_at, d.version, d.focus_version, d.state, d.state_rule, d.source_table, d.source_created_at,
    d.exported_to, d.is_followed, d.is_loaded
  FROM {DAYS} AS d
  WHERE d.source = @{SOURCE} AND d.usage_date IN UNNEST(@run_days)
  -- Earlier releases could write two entries of a day; this publish replaces both.
  QUALIFY ROW_NUMBER() OVER (PARTITION BY d.usage_date ORDER BY d.version DESC) = 1)"""
    newer, of_kind = (
        (PERIODS_SUPERSEDED, [MeasuredField(name="replaced_periods", type="ARRAY<STRING>", sql=REPLACED_PERIODS)])
        if entry.kind is LedgerKind.MONTHS
        else (_NEWER_READING, _OF_READINGS)
    )
    known_days = MeasuredField(name="known", type=KNOWN, sql=known, is_first=True)
    return [known_days, MeasuredField(name=SUPERSEDED, type="BOOL", sql=newer), *of_kind]
