"""Composes what a publishing transaction does for exported files, whose billing periods are replaced as a whole: the second fence, which
keeps an older version of a period from replacing a newer one. Part of `publish_script`, which explains why the transaction as a whole is
safe.

Why this part is safe
    - The row of each period (x_meta_exports) is there before the transaction begins, and the transaction replaces it. So of two
      concurrent publishes of a period BigQuery cancels one; its retry finds another version than it has seen, and publishes nothing.
    - The same happens to two publishes of different exports: both change this table. The second one then finds the rows of an account that
      both exports have.
    - A row that is prepared while another run's transaction commits stays next to that run's row, without a version. It has no meaning, and
      the next publish of the period deletes it.
    - The row names all days that have rows of its period. So rows are deleted only from the days of the old version and of the new one.
"""

from typing import Final

from services.executor.ledger.store import EXPORTS
from services.executor.steps.replace_rows import replace_rows

KEPT_OF_PERIODS: Final = (
    "NOT EXISTS (SELECT 1 FROM UNNEST(@exports) AS e"
    " WHERE (e.source_id = t.x_SourceId OR t.x_SourceId IN UNNEST(@replaced_sources)) AND e.billing_period = t.x_BillingPeriod)"
)
"""A condition on rows `t` of the published table: those of other sources and of other periods stay; but for a source that is replaced."""
_ONE_PERIOD: Final = "CONCAT({source_id}, ' ', CAST({billing_period} AS STRING))"
_IS_REPLACED: Final = f"{_ONE_PERIOD} IN UNNEST(measured.replaced_periods)"
GONE_OF_PERIODS: Final = _IS_REPLACED.format(source_id="t.x_SourceId", billing_period="t.x_BillingPeriod")
"""The opposite, without a subquery."""
REPLACED_PERIODS: Final = f"""ARRAY(
  SELECT DISTINCT {_ONE_PERIOD.format(source_id="replaced", billing_period="e.billing_period")}
  FROM UNNEST(@exports) AS e
  CROSS JOIN UNNEST(ARRAY_CONCAT([e.source_id], @replaced_sources)) AS replaced)"""
"""The ids of exports with the periods that are replaced of them."""
NEW_OF_PERIODS: Final = (
    "EXISTS (SELECT 1 FROM UNNEST(@exports) AS e WHERE e.source_id = n.x_SourceId AND e.billing_period = n.x_BillingPeriod)"
)
"""A condition on rows `n` that are to be published: they belong to the periods that were read."""
REPLACED_PERIOD: Final = f"IF({KEPT_OF_PERIODS}, NULL, t.x_BillingPeriod)"
"""For rows `t` of the published table: the period, if it is replaced."""
PERIODS_SUPERSEDED: Final = f"""EXISTS (
  SELECT 1
  FROM UNNEST(@exports) AS r
  LEFT JOIN {EXPORTS} AS e ON e.source_id = r.source_id AND e.billing_period = r.billing_period AND e.version > 0
  WHERE IFNULL(e.version, 0) != r.seen_version OR IFNULL(e.exported_at > r.exported_at, FALSE))"""
"""True if a period was published by another run since this one has looked at it."""
IS_NEWER: Final = f"""NOT EXISTS (
  SELECT 1
  FROM UNNEST(@exports) AS r
  LEFT JOIN {EXPORTS} AS e ON e.source_id = r.source_id AND e.billing_period = r.billing_period AND e.version > 0
  WHERE IFNULL(e.exported_at < r.exported_at, TRUE))"""
"""True if this version or a newer one is published of every period."""
DOUBLED: Final = "doubled"
"""Accounts that another source has rows of; NULL: none."""


def doubled(table: str, of_the_run: str, query: str) -> str:
    """An expression for `DOUBLED`: rows that stay in `table` and are of an account and a period that `query` has rows of, too. Both exports
    would count the account's cost twice. It is evaluated in the transaction, because two runs may publish at once.
    """
    return f"""(
  SELECT STRING_AGG(a.name, ', ' ORDER BY a.name LIMIT 5)
  FROM (
    SELECT DISTINCT CONCAT(t.BillingAccountId, ' in ', FORMAT_DATE('%Y-%m', t.x_BillingPeriod), ' by ', t.x_SourceId) AS name
    FROM {table} AS t
    INNER JOIN (
      SELECT DISTINCT n.x_SourceId, n.x_BillingPeriod, n.BillingAccountId, n.SubAccountId
      FROM (
{query}
      ) AS n
    ) AS n
      ON n.x_BillingPeriod = t.x_BillingPeriod AND n.x_SourceId != t.x_SourceId AND n.BillingAccountId = t.BillingAccountId
      AND IFNULL(n.SubAccountId, '') = IFNULL(t.SubAccountId, '')
    WHERE {of_the_run} AND t.x_SourceId NOT IN UNNEST(@replaced_sources)
  ) AS a)"""


PREPARED: Final = f"""INSERT INTO {EXPORTS} (source_id, billing_period, version)
SELECT r.source_id, r.billing_period, 0
FROM UNNEST(@exports) AS r
WHERE NOT EXISTS (SELECT 1 FROM {EXPORTS} AS e WHERE e.source_id = r.source_id AND e.billing_period = r.billing_period);
"""
"""Before the transaction: the rows that it changes."""


_COLUMNS: Final = (
    *("source_id", "billing_period", "provider", "dataset", "focus_version", "manifest_key", "manifest_etag", "manifest_id", "exported_at"),
    *("version", "days", "row_count", "sums", "file_count", "byte_count", "published_at", "pipeline_logging_id"),
)


def exports_statements(provider_param: str) -> str:
    """The statement that writes the periods' rows; `provider_param` is the query parameter with the provider, lower-case."""
    rows = f"""SELECT
  r.source_id, r.billing_period, UPPER(@{provider_param}) AS provider, r.dataset, r.focus_version, r.manifest_key, r.manifest_etag,
  r.manifest_id, r.exported_at, r.seen_version + 1 AS version, d.days, r.row_count, s.sums, r.file_count, r.byte_count,
  @loaded_at AS published_at, @pipeline_logging_id AS pipeline_logging_id
FROM UNNEST(@exports) AS r
LEFT JOIN (
  SELECT one.billing_period, ARRAY_AGG(one.day ORDER BY one.day) AS days FROM UNNEST(@export_days) AS one GROUP BY one.billing_period
) AS d ON d.billing_period = r.billing_period
LEFT JOIN (
  SELECT
    one.billing_period,
    ARRAY_AGG(STRUCT(one.currency AS currency, one.billed_cost AS billed_cost, one.effective_cost AS effective_cost) ORDER BY one.currency)
      AS sums
  FROM UNNEST(@source_sums) AS one
  GROUP BY one.billing_period
) AS s ON s.billing_period = r.billing_period"""
    return replace_rows(EXPORTS, _COLUMNS, rows, _IS_REPLACED.format(source_id="t.source_id", billing_period="t.billing_period"))
