"""Composes what a publishing transaction writes into the ledger of days: by how much each day has moved, what it holds now, and how far the
source has been read. Part of `publish_script`, which explains why the transaction as a whole is safe.

A publish of a source's own table (billing_cost_daily) records what was read of each day. A publish of a derived table (focus_cost_daily)
only records that this table is up to date again. A publish of exported files records what was read of each billing period, see
`exports_script`.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from services.executor.ledger.days import DAY_READS, STATES, WATERMARKS
from services.executor.ledger.store import CHANGES, DAYS, EXPORTS, SOURCES
from services.executor.sources.source import MONTHS_OUTPUTS
from services.executor.steps.exports_script import GONE_OF_PERIODS, IS_NEWER, KEPT_OF_PERIODS, PREPARED, exports_statements
from services.executor.steps.replace_rows import replace_rows

SOURCE: Final = "_ledger_source"
"""The query parameter with the source, e.g. gcp."""
STATES_PARAM: Final = "_ledger_states"
"""The query parameter with the state that each day of the run gets if it has changed."""
DERIVED_FROM: Final = "source_versions"
"""The output of the step that derives rows: which version of each day it has read, see `VERSIONS`. A day without rows is absent."""
SOURCE_VERSIONS: Final = "ARRAY<STRUCT<day DATE, version INT64>>"
SOURCE_COLUMNS: Final = {"usage_date": "DATE", "pipeline_logging_id": "STRING"}
"""The columns of a source's own table by which it is known which version a day has."""
EXPORTED: Final = "export_time"
"""The column of a source's own table by which rows are new."""
KEPT_ROWS: Final = (
    "EXISTS (SELECT 1 FROM UNNEST(@day_reads) AS r"
    " WHERE r.day = t.{day} AND r.since IS NOT NULL AND IFNULL(t." + EXPORTED + " <= r.since, TRUE))"
)
"""A condition on rows `t` of the published table: of a day of which only newer rows were read, the older ones stay."""
GONE_ROWS: Final = (
    "(t.{day} IN UNNEST(measured.whole_days)"
    " OR t." + EXPORTED + " > measured.added_since[SAFE_OFFSET(DATE_DIFF(t.{day}, @first_day, DAY))])"
)
"""The opposite, of rows of the run's days: see `ledger_measures` for the fields."""


class LedgerKind(Enum):
    """What the rows that are published are, to the ledger."""

    READINGS = auto()
    """A source's own rows, of which some days may have been read in part."""
    DERIVED = auto()
    """Made of another table of the same source."""
    MONTHS = auto()
    """A source's own rows, replaced by billing period."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerEntry:
    """What a publish writes into the ledger."""

    source: str
    """The provider, lower-case."""
    service: str | None
    """The column by which changes are kept apart besides day and currency; None: no changes are written."""
    kind: LedgerKind
    derived_from: str | None = None
    """Of DERIVED: the source's own table."""

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that are written."""
        return {
            LedgerKind.READINGS: (DAYS, CHANGES, SOURCES),
            LedgerKind.DERIVED: (DAYS,),
            LedgerKind.MONTHS: (DAYS, CHANGES, EXPORTS),
        }[self.kind]

    def kept_rows(self, day: str) -> str | None:
        """A condition on rows `t` of the published table, with the column `day`: those on days of the run that stay; None: none stay."""
        if self.kind is LedgerKind.DERIVED:
            return None
        return KEPT_OF_PERIODS if self.kind is LedgerKind.MONTHS else KEPT_ROWS.format(day=day)

    def gone_rows(self, day: str) -> str | None:
        """The opposite of `kept_rows`, of rows of the run's days, without a subquery; None: all go."""
        if self.kind is LedgerKind.DERIVED:
            return None
        return GONE_OF_PERIODS if self.kind is LedgerKind.MONTHS else GONE_ROWS.format(day=day)

    @property
    def is_newer(self) -> str:
        """A condition, for a publish that was superseded: others have published, or will, what it was to publish. Of months, the same or a
        newer version is there. What is derived is left to the runs that have published the days last; if that is this run for one of them,
        whose kept rows were replaced after they had been read here, no other run derives it.
        """
        match self.kind:
            case LedgerKind.DERIVED:
                return (
                    f"NOT EXISTS (SELECT 1 FROM {DAYS} AS d WHERE d.source = @{SOURCE} AND d.usage_date IN UNNEST(@run_days)"
                    " AND d.pipeline_logging_id = @pipeline_logging_id)"
                )
            case LedgerKind.MONTHS:
                return IS_NEWER
            case LedgerKind.READINGS:
                return "FALSE"

    @property
    def prepared(self) -> str:
        """Statements before the transaction."""
        return PREPARED if self.kind is LedgerKind.MONTHS else ""


def ledger_params(entry: LedgerEntry) -> dict[str, str]:
    """The query parameters that the statements need, name to GoogleSQL type."""
    own = {SOURCE: "STRING", STATES_PARAM: STATES}
    match entry.kind:
        case LedgerKind.DERIVED:
            return own | {DERIVED_FROM: SOURCE_VERSIONS}
        case LedgerKind.MONTHS:
            return own | dict(MONTHS_OUTPUTS)
        case LedgerKind.READINGS:
            return own | {"day_reads": DAY_READS, "watermarks": WATERMARKS}


def ledger_statements(entry: LedgerEntry | None, *, with_derived: bool = False) -> str:
    """Statements of the transaction, after the rows are in place. `with_derived`: those of the table that is derived from it as well."""
    if entry is None:
        return ""
    match entry.kind:
        case LedgerKind.DERIVED:
            return _derived()
        case LedgerKind.MONTHS:
            return f"{_changes()}{_days(is_focus=True, is_loaded='n.is_loaded')}{exports_statements(SOURCE)}"
        case LedgerKind.READINGS:
            return f"{_changes()}{_days(is_focus=with_derived)}{_sources()}"


def _changes() -> str:
    return f"""INSERT INTO {CHANGES} (
  source, usage_date, service, currency, cost_before, cost_after, delta, is_first_load, after_final, pipeline_logging_id, changed_at
)
SELECT
  @{SOURCE}, c.usage_date, c.service, c.currency, c.net_before, c.net_after, c.net_after - c.net_before, k.usage_date IS NULL,
  IFNULL(k.state = 'FINAL', FALSE), @pipeline_logging_id, @loaded_at
FROM (
  SELECT g.usage_date, g.service, g.currency, SUM(g.net_before) AS net_before, SUM(g.net_after) AS net_after
  FROM UNNEST(measured.changes) AS g
  GROUP BY g.usage_date, g.service, g.currency
) AS c
LEFT JOIN UNNEST(measured.known) AS k ON k.usage_date = c.usage_date
WHERE c.net_after != c.net_before;
"""


_HOLDS: Final = """SELECT
    b.usage_date, SUM(b.row_count) AS row_count, LOGICAL_OR(b.has_changed) AS has_changed,
    ARRAY_AGG(STRUCT(b.currency AS currency, b.net_cost AS net_cost, b.size AS size) ORDER BY b.currency) AS sums
  FROM (
    SELECT
      c.usage_date, c.currency, SUM(c.rows_after) AS row_count, SUM(c.net_after) AS net_cost,
      SAFE_CAST(SUM(c.cost_after) AS NUMERIC) AS size,
      LOGICAL_OR(c.rows_after != c.rows_before OR c.net_after != c.net_before) AS has_changed
    FROM UNNEST(measured.changes) AS c
    GROUP BY c.usage_date, c.currency
  ) AS b
  GROUP BY b.usage_date"""
"""What each day holds now; days without rows are absent."""
_COLUMNS: Final = (
    *("source", "usage_date", "row_count", "sums", "first_loaded_at", "last_loaded_at", "changed_at", "version", "source_version"),
    *("focus_version", "state", "state_rule", "source_table", "source_created_at", "exported_to", "is_followed", "pipeline_logging_id"),
    "is_loaded",
)


def _days(*, is_focus: bool, is_loaded: str = "TRUE") -> str:
    """`is_focus`: focus_cost_daily is published, too, which so is never behind."""
    focus_version = "IFNULL(n.version, 0) + 1" if is_focus else "IFNULL(n.focus_version, 0)"
    rows = f"""SELECT
  @{SOURCE} AS source, n.day AS usage_date, n.row_count, n.sums, IFNULL(n.first_loaded_at, @loaded_at) AS first_loaded_at,
  @loaded_at AS last_loaded_at, IF(n.is_moved, @loaded_at, n.changed_at) AS changed_at, IFNULL(n.version, 0) + 1 AS version,
  IFNULL(n.version, 0) + 1 AS source_version, {focus_version} AS focus_version, IF(n.is_moved, n.new_state, n.state) AS state,
  IF(n.is_moved, n.new_rule, n.state_rule) AS state_rule, n.source_table, n.source_created_at, n.exported_to, n.is_followed,
  @pipeline_logging_id AS pipeline_logging_id, {is_loaded} AS is_loaded
FROM (
  SELECT
    r.day, IFNULL(h.row_count, 0) AS row_count, h.sums, k.first_loaded_at, k.changed_at, k.version, k.focus_version,
    r.is_followed OR IFNULL(k.is_loaded, k.version IS NOT NULL) AS is_loaded,
    k.version IS NULL OR IFNULL(h.has_changed, FALSE) AS is_moved, s.state AS new_state, s.state_rule AS new_rule, k.state, k.state_rule,
    r.source_table, r.source_created_at, r.exported_to,
    -- A day whose rows were taken away is followed again once it has been read as a whole.
    r.is_followed OR IFNULL(k.is_followed, FALSE) AND NOT IFNULL(k.exported_to > r.exported_to, FALSE) AS is_followed
  FROM UNNEST(@day_reads) AS r
  LEFT JOIN UNNEST(measured.known) AS k ON k.usage_date = r.day
  LEFT JOIN UNNEST(@{STATES_PARAM}) AS s ON s.day = r.day
  LEFT JOIN (
  {_HOLDS}
  ) AS h ON h.usage_date = r.day
) AS n"""
    return replace_rows(DAYS, _COLUMNS, rows, f"t.source = @{SOURCE} AND t.usage_date IN UNNEST(@run_days)")


def _sources() -> str:
    columns = ("source", "source_table", "source_created_at", "watermark", "updated_at", "pipeline_logging_id")
    rows = f"""SELECT
  @{SOURCE} AS source, m.source_table, m.source_created_at, m.watermark, @loaded_at AS updated_at,
  @pipeline_logging_id AS pipeline_logging_id
FROM UNNEST(@watermarks) AS m"""
    replaced = replace_rows(SOURCES, columns, rows, f"t.source = @{SOURCE} AND t.source_table IN UNNEST(measured.followed)")
    return f"""-- only with @watermarks: a run for changed days moves them
IF ARRAY_LENGTH(@watermarks) > 0 THEN
{replaced}END IF;
"""


def _derived() -> str:
    return f"""UPDATE {DAYS} SET last_loaded_at = @loaded_at, version = IFNULL(version, 0) + 1, focus_version = IFNULL(version, 0) + 1
WHERE source = @{SOURCE} AND usage_date IN UNNEST(@run_days);
-- seldom: a day was published before there was a ledger
IF @@row_count < ARRAY_LENGTH(@run_days) THEN
INSERT INTO {DAYS} (
  {", ".join(_COLUMNS)}
)
SELECT
  @{SOURCE}, n.day, n.row_count, n.sums, @loaded_at, @loaded_at, @loaded_at, 1, 0, 1, n.state, n.state_rule,
  CAST(NULL AS STRING), CAST(NULL AS TIMESTAMP), CAST(NULL AS TIMESTAMP), FALSE, @pipeline_logging_id, TRUE
FROM (
  SELECT run_day AS day, IFNULL(h.row_count, 0) AS row_count, h.sums, s.state, s.state_rule
  FROM UNNEST(@run_days) AS run_day
  LEFT JOIN UNNEST(@{STATES_PARAM}) AS s ON s.day = run_day
  LEFT JOIN (
  {_HOLDS}
  ) AS h ON h.usage_date = run_day
) AS n
WHERE n.day NOT IN (SELECT d.usage_date FROM {DAYS} AS d WHERE d.source = @{SOURCE});
END IF;
"""
