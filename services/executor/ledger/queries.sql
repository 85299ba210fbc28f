-- The ledger's own statements, in the tenant's dataset. Its rows are written by publishing transactions (steps/publish_script.py); here it
-- is read, and a day's state follows the passing of time.

-- name: read_ledger
-- Reads only. Every day of a source, and how far its tables have been read, which is the same for all rows of one table: a row of either
-- kind has the columns of the other NULL.
-- param: source STRING
SELECT
  d.usage_date, d.row_count, d.sums, d.changed_at, d.version, d.source_version, d.focus_version, d.state, d.source_table, d.source_created_at, d.exported_to,
  d.is_followed, CAST(NULL AS TIMESTAMP) AS watermark
FROM x_meta_cost_days AS d
WHERE d.source = @source
UNION ALL
SELECT
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, s.source_table, s.source_created_at, NULL, NULL, s.watermark
FROM x_meta_cost_sources AS s
WHERE s.source = @source

-- name: move_states
-- The passing of time moves a day's state. A replay changes nothing; a day that was published meanwhile has another version, and has got
-- its state from that.
-- param: source STRING
-- param: states ARRAY<STRUCT<day DATE, version INT64, state STRING, state_rule STRING>>
UPDATE x_meta_cost_days AS d SET state = s.state, state_rule = s.state_rule
FROM UNNEST(@states) AS s
WHERE d.source = @source AND d.usage_date = s.day AND d.version = s.version

-- name: published_sizes
-- Reads only. Rows and absolute costs before credits of each day and currency, for tenants whose days were published before there was a
-- ledger.
-- param: first_day DATE
-- param: last_day DATE
SELECT b.usage_date, b.currency, COUNT(*) AS row_count, SAFE_CAST(SUM(ABS(b.cost)) AS NUMERIC) AS size
FROM billing_cost_daily AS b
WHERE b.usage_date BETWEEN @first_day AND @last_day
GROUP BY b.usage_date, b.currency

-- name: read_exports
-- Reads only. A row without a version was made by a run that then published nothing.
-- param: provider STRING
SELECT e.source_id, e.billing_period, e.manifest_key, e.manifest_etag, e.manifest_id, e.exported_at, e.version, e.days, e.row_count
FROM x_meta_exports AS e
WHERE e.provider = @provider AND e.version > 0
