"""Composes the fenced replace: the only script that moves rows from staging into a tenant's table.

    1. The run's fence row is created, OPEN, if the run is RUNNING and claimed by this publisher (x_meta_publish_fences).
    2. One transaction: compare what the days hold with the new rows, replace the old by the new, write the ledger of days, and last
       update the fence row. That UPDATE changes the row only if it is still OPEN, has the same claim, no day loses too much, and no other
       run has published a newer reading of a day. If it changed none: rollback.
    Where nothing follows the publish, the transaction ends the run: in place of the run's fence row it updates the lock, a fence row that
    all such publishes share, and last the run's own row, on the same conditions. There is no step 1; see `run_end_script`.

Why it is safe
    - Before a run's row says FAILED or CANCELLED (cancel, reconcile, deadline, failure), its fence is closed. That UPDATE and the one in
      step 2 change the same row, so BigQuery runs them one after the other or cancels the transaction: once a run is seen to have ended,
      it publishes nothing more. If the transaction changes the run's own row, the same is true of the UPDATE that ends the run.
    - These rows are updated last, so BigQuery holds their tables only until the commit. Only publishes and ends of runs change the fences'
      table. So a publish can be cancelled by another publish, of which one always commits, or by the end of a run.
    - A replay replaces the rows by the same rows. If it finds the run completed by its own claim, it publishes nothing, and says that the
      run has published. If two runs publish concurrently, both update the fences' table, so BigQuery cancels one, also if neither has
      found a row to delete. Its retry starts from what the other has committed, and ends if that reading is newer.
    - Of exported files, whose billing periods are replaced as a whole, there is a second fence, see `exports_script`.
    - The next run would not replace a row outside the run's days, or of another provider: ERROR ends the script, and nothing changes.

Each statement of a script takes BigQuery about a second. So one statement reads everything that must be known before, into `measured`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.executor.checks.own_rows import OwnRows
from services.executor.steps.exports_script import DOUBLED, NEW_OF_PERIODS, REPLACED_PERIOD, doubled
from services.executor.steps.ledger_measures import SUPERSEDED, MeasuredField, ledger_measures
from services.executor.steps.ledger_script import LedgerEntry, LedgerKind, ledger_params, ledger_statements
from services.executor.steps.replace_rows import replace_rows
from services.executor.steps.run_end_script import EndOfRun
from services.platform.bigquery.ddl import Table
from services.platform.bigquery.sql import Block, make_block

OUTSIDE = "a row to publish lies outside the days or the provider of the run"
"""The text of the error that ends the script for such a row."""
PARAMS = {
    "pipeline_logging_id": "STRING",
    "claimed_by": "STRING",
    "loaded_at": "TIMESTAMP",
    "first_day": "DATE",
    "last_day": "DATE",
    "run_days": "ARRAY<DATE>",
}
ACCEPT_LESS = "accept_less"
"""The parameter by which a caller allows days to lose more than half of what they hold."""
OWN = "_publish_own"
"""The query parameter with the value of `OwnRows`."""
CHANGES = (
    "ARRAY<STRUCT<usage_date DATE, service STRING, currency STRING, unit DATE, rows_before INT64, rows_after INT64, rows_new INT64,"
    " cost_before FLOAT64, cost_after FLOAT64, net_before NUMERIC, net_after NUMERIC, is_too_little BOOL>>"
)
FINAL_DAYS = "ARRAY(SELECT k.usage_date FROM UNNEST(measured.known) AS k WHERE k.state = 'FINAL')"


@dataclass(frozen=True, kw_only=True, slots=True)
class Replacement:
    """What a publish replaces, by column names of the table. All names occur in our DDL."""

    table: Table
    day: str
    """A DATE column: rows of the run's days are replaced."""
    own: OwnRows | None
    """Which rows of these days belong to the template; None: all."""
    currency: str | None
    """The column by which sums are kept apart; None: the table has none."""
    cost: str | None
    """Cost before credits: a day must not lose more than half of it, in absolute terms, unless the caller accepts less."""
    net_cost: str | None
    """The column whose change is recorded for each day that was published before."""
    ledger: LedgerEntry | None = None
    """What the ledger of days gets to know; None: nothing, the table is none of ours."""

    @property
    def kept_rows(self) -> str | None:
        """A condition on rows `t` of the run's days: those that stay; None: all are replaced."""
        return self.ledger.kept_rows(self.day) if self.ledger else None

    @property
    def by_months(self) -> bool:
        """True if billing periods are replaced: days are shared with others, and it is a month that must not lose too much."""
        return self.ledger is not None and self.ledger.kind is LedgerKind.MONTHS


@dataclass(frozen=True, kw_only=True, slots=True)
class Along:
    """A second table that the same transaction replaces."""

    replacement: Replacement
    rows: Block
    """A query that returns every column of its table by name."""
    measures: Sequence[MeasuredField]
    """What must be known of it."""
    allowed: str
    """A condition on what is measured: it may be replaced."""
    answer: str
    """More columns of the last statement."""


def publish_scripts(replacement: Replacement, rows: Block, along: Along | None = None) -> dict[EndOfRun, Block]:
    """One script for each way to end the run."""
    return {way: publish_script(replacement, rows, way, along) for way in EndOfRun}


def publish_script(replacement: Replacement, rows: Block, run_end: EndOfRun, along: Along | None = None) -> Block:
    """The script that replaces what the days hold by `rows`, a query that returns every column of the table by name; and what a second
    table holds of them, with `along`.

    Its last statement returns `published BOOL`, `ended_at TIMESTAMP`, when this claim completed the run, by this script or an earlier
    sending of it, or NULL, `rows_published INT64`, `is_superseded BOOL`, `is_newer_there BOOL`, if so because others do what this run was
    to do (`LedgerEntry.is_newer`), `lock_is_missing BOOL`, see `EndOfRun`, `doubled STRING`, accounts that another export has rows of, or
    NULL, `final_days ARRAY<DATE>`, the run's days that had been FINAL, and `changes`, one entry for each day, service, currency and unit
    that holds rows before or after:
    `usage_date DATE, service STRING, currency STRING, unit DATE, rows_before INT64, rows_after INT64, rows_new INT64, cost_before FLOAT64,
    cost_after FLOAT64, net_before NUMERIC, net_after NUMERIC, is_too_little BOOL`. `cost_*` are sums of absolute values. `unit` is what is
    replaced: the day, of exported files the billing period; NULL for rows of others that stay. `rows_new` are those that come from
    `rows`. Too little: the unit would lose more than half of its rows, or the currency all of its rows or more than half of its cost. A sum
    of FLOAT64 depends on their order, so a millionth less than half of the cost counts as half: of a day that was published twice, half is
    right.
    """
    ledger, parts = replacement.ledger, [(replacement, rows), *([(along.replacement, along.rows)] if along else [])]
    measures = [*_measures(replacement, rows), *(along.measures if along else ())]
    known = {one.name for one in measures}
    allowed = allowed_by(replacement) + (f" AND {along.allowed}" if along else "")
    written = ledger_statements(ledger, with_derived=along is not None)
    params = PARAMS | {ACCEPT_LESS: "BOOL"} | run_end.params
    for one, query in parts:
        params |= query.params | ({OWN: "STRING"} if one.own else {}) | (ledger_params(one.ledger) if one.ledger else {})
    return make_block(
        f"publish_{'_with_'.join(one.table.name for one, _ in parts)}",
        f"""\
{run_end.declared}DECLARE is_refused, is_newer_there BOOL;
DECLARE measured STRUCT<{", ".join(f"{one.name} {one.type}" for one in measures)}>;
{run_end.opened}{ledger.prepared if ledger else ""}BEGIN TRANSACTION;
{_measured(measures)}{"".join(_replaced(*part) for part in parts)}{written}{run_end.guard(allowed)}IF @@row_count = 0 THEN
  ROLLBACK TRANSACTION;
  SET is_refused = TRUE;
  -- For the answer: the emulator takes variables back with the transaction.
  {_measured(measures)}  SET is_newer_there = {ledger.is_newer if ledger else "FALSE"};
{run_end.rolled_back}ELSE
  COMMIT TRANSACTION;
{run_end.committed}END IF;
SELECT
  is_refused IS NULL AS published, {run_end.ended_at} AS ended_at,
  (SELECT IFNULL(SUM(c.rows_new), 0) FROM UNNEST(measured.changes) AS c) AS rows_published,
  {f"measured.{SUPERSEDED}" if SUPERSEDED in known else "FALSE"} AS is_superseded,
  IFNULL(is_newer_there, FALSE) AS is_newer_there, {run_end.lock_is_missing} AS lock_is_missing,
  {f"measured.{DOUBLED}" if DOUBLED in known else "CAST(NULL AS STRING)"} AS {DOUBLED}, measured.changes,
  {FINAL_DAYS if "known" in known else "CAST([] AS ARRAY<DATE>)"} AS final_days{f", {along.answer}" if along else ""}""",
        params,
    )


def _of_the_run(replacement: Replacement) -> str:
    """A condition on rows `t` of the table: they are of the run's days, and the template's own."""
    own = f" AND {replacement.own.condition(OWN, 't')}" if replacement.own else ""
    return f"t.{replacement.day} BETWEEN @first_day AND @last_day AND t.{replacement.day} IN UNNEST(@run_days){own}"


def _query(rows: Block) -> str:
    return rows.sql.rstrip().removesuffix(";")


def _replaced(replacement: Replacement, rows: Block) -> str:
    """The statement that deletes the rows that do not stay, and inserts the new ones."""
    table, day, columns = replacement.table, replacement.day, list(replacement.table.columns)
    is_new = f" AND n.{replacement.own.column} = @{OWN}" if replacement.own else ""
    of_periods = f" AND {NEW_OF_PERIODS}" if replacement.by_months else ""
    is_inside = f"n.{day} IN UNNEST(@run_days){is_new}{of_periods}"
    selected = [f"IF({is_inside}, n.{name}, ERROR('{OUTSIDE}')) AS {name}" if name == day else f"n.{name}" for name in columns]
    goes = replacement.ledger.gone_rows(day) if replacement.ledger else None
    gone = f"{_of_the_run(replacement)}{f' AND {goes}' if goes else ''}"
    return replace_rows(table.name, columns, f"SELECT {', '.join(selected)}\nFROM (\n{_query(rows)}\n) AS n", gone)


def _measures(replacement: Replacement, rows: Block) -> list[MeasuredField]:
    """What the days hold, and will hold, and what the ledger says."""
    measures = [changes_of(replacement, rows, "changes"), *ledger_measures(replacement.ledger)]
    if replacement.by_months:
        sql = doubled(replacement.table.name, _of_the_run(replacement), _query(rows))
        measures.append(MeasuredField(name=DOUBLED, type="STRING", sql=sql))
    return measures


def _measured(measures: Sequence[MeasuredField]) -> str:
    """The statement that sets the variable `measured`."""
    fields = ",\n  ".join(f"q.{one.name}" if one.is_first else f"{one.sql} AS {one.name}" for one in measures)
    first = ",\n  ".join(f"{one.sql} AS {one.name}" for one in measures if one.is_first)
    return f"SET measured = (SELECT AS STRUCT\n  {fields}\nFROM (SELECT\n  {first}\n) AS q);\n"


def allowed_by(replacement: Replacement, *, changes: str = "changes", superseded: str = SUPERSEDED) -> str:
    """A condition: nothing newer is there, no other export has the same cost, and no day loses too much. A caller who accepts less also
    replaces rows by an older reading of theirs, but never a billing period by an older version, nor what is derived by what was derived of
    rows that are no longer there. `changes` and `superseded` are fields of what is measured.
    """
    enough = f"NOT EXISTS (SELECT 1 FROM UNNEST(measured.{changes}) AS c WHERE c.is_too_little)"
    if replacement.by_months:
        return f"NOT measured.{superseded} AND measured.{DOUBLED} IS NULL AND (IFNULL(@{ACCEPT_LESS}, FALSE) OR {enough})"
    if replacement.ledger and replacement.ledger.kind is LedgerKind.DERIVED:
        return f"NOT measured.{superseded} AND (IFNULL(@{ACCEPT_LESS}, FALSE) OR {enough})"
    newest = f"NOT measured.{superseded} AND " if replacement.ledger else ""
    return f"(IFNULL(@{ACCEPT_LESS}, FALSE) OR {newest}{enough})"


def changes_of(replacement: Replacement, rows: Block, name: str) -> MeasuredField:
    """The days' figures before and after."""
    return MeasuredField(name=name, type=CHANGES, sql=_changes(replacement, _of_the_run(replacement), _query(rows)), is_first=True)


def _changes(replacement: Replacement, of_the_run: str, query: str) -> str:
    kept = replacement.kept_rows
    old = f"CROSS JOIN UNNEST({'[TRUE, FALSE]' if kept else '[TRUE]'}) AS is_old"
    stays = f" AND (is_old OR {kept})" if kept else ""
    of_old, of_new = (REPLACED_PERIOD, "n.x_BillingPeriod") if replacement.by_months else (f"t.{replacement.day}", f"n.{replacement.day}")
    return f"""ARRAY(
  SELECT AS STRUCT
    q.usage_date, q.service, q.currency, q.unit, q.rows_before, q.rows_after, q.rows_new, q.cost_before, q.cost_after, q.net_before,
    q.net_after, q.unit IS NOT NULL
      AND (q.unit_after * 2 < q.unit_before OR (q.all_before > 0 AND q.all_after = 0) OR q.size_after * 2.000001 < q.size_before)
      AS is_too_little
  FROM (
    SELECT
      g.usage_date, g.service, g.currency, g.unit, g.rows_before, g.rows_after, g.rows_new, g.cost_before, g.cost_after, g.net_before,
      g.net_after,
      SUM(g.rows_before) OVER (PARTITION BY g.unit) AS unit_before,
      SUM(g.rows_after) OVER (PARTITION BY g.unit) AS unit_after,
      SUM(g.rows_before) OVER (PARTITION BY g.unit, g.currency) AS all_before,
      SUM(g.rows_after) OVER (PARTITION BY g.unit, g.currency) AS all_after,
      SUM(g.cost_before) OVER (PARTITION BY g.unit, g.currency) AS size_before,
      SUM(g.cost_after) OVER (PARTITION BY g.unit, g.currency) AS size_after
    FROM (
      SELECT
        d.usage_date, d.service, d.currency, d.unit,
        COUNTIF(d.is_old) AS rows_before, COUNTIF(NOT d.is_old) AS rows_after, COUNTIF(d.is_new) AS rows_new,
        IFNULL(SUM(IF(d.is_old, d.cost, 0.0)), 0.0) AS cost_before, IFNULL(SUM(IF(d.is_old, 0.0, d.cost)), 0.0) AS cost_after,
        IFNULL(SUM(IF(d.is_old, d.net_cost, NULL)), 0) AS net_before, IFNULL(SUM(IF(d.is_old, NULL, d.net_cost)), 0) AS net_after
      FROM (
        SELECT is_old, FALSE AS is_new, {of_old} AS unit, {_figures(replacement, "t")}
        FROM {replacement.table.name} AS t
        {old}
        WHERE {of_the_run}{stays}
        UNION ALL
        SELECT FALSE AS is_old, TRUE AS is_new, {of_new} AS unit, {_figures(replacement, "n")}
        FROM (
{query}
        ) AS n
      ) AS d
      GROUP BY d.usage_date, d.service, d.currency, d.unit
    ) AS g
  ) AS q
  ORDER BY q.usage_date, q.service, q.currency, q.unit)"""


def _figures(replacement: Replacement, alias: str) -> str:
    service = replacement.ledger.service if replacement.ledger else None
    texts = {
        "service": f"{alias}.{service}" if service else "CAST(NULL AS STRING)",
        "currency": f"{alias}.{replacement.currency}" if replacement.currency else "CAST(NULL AS STRING)",
        # Absolute values: a day of refunds must not be lost either.
        "cost": f"ABS(CAST({alias}.{replacement.cost} AS FLOAT64))" if replacement.cost else "0.0",
        # NUMERIC adds up to the same sum in any order, so the changes of a day add up exactly.
        "net_cost": f"SAFE_CAST({alias}.{replacement.net_cost} AS NUMERIC)" if replacement.net_cost else "NUMERIC '0'",
    }
    return f"{alias}.{replacement.day} AS usage_date, {', '.join(f'{sql} AS {name}' for name, sql in texts.items())}"
