-- Statements about the ledger of days, in the tenant's dataset. Publishing transactions write its rows (steps/publish_script.py). The
-- statements here read it, and change a day's state as time passes.

-- name: read_ledger
-- Reads only. Two kinds of rows: one for each day of a source, and one for each of its tables, with the watermark. Each kind has NULL in
-- the columns of the other.
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
-- Changes days' states as time passes. A replay changes nothing. A day that was published meanwhile has another version, and the publish
-- has set its state.
-- param: source STRING
-- param: states ARRAY<STRUCT<day DATE, version INT64, state STRING, state_rule STRING>>
UPDATE x_meta_cost_days AS d SET state = s.state, state_rule = s.state_rule
FROM UNNEST(@states) AS s
WHERE d.source = @source AND d.usage_date = s.day AND d.version = s.version

-- name: published_sizes
-- Reads only. Row counts, and sums of absolute costs before credits, by day and currency. For tenants whose days were published before
-- there was a ledger of days.
-- param: first_day DATE
-- param: last_day DATE
SELECT b.usage_date, b.currency, COUNT(*) AS row_count, SAFE_CAST(SUM(ABS(b.cost)) AS NUMERIC) AS size
FROM billing_cost_daily AS b
WHERE b.usage_date BETWEEN @first_day AND @last_day
GROUP BY b.usage_date, b.currency

-- name: read_exports
-- Reads only. A row without a version is of a run that published nothing in the end.
-- param: provider STRING
SELECT e.source_id, e.billing_period, e.manifest_key, e.manifest_etag, e.manifest_id, e.exported_at, e.version, e.days, e.row_count
FROM x_meta_exports AS e
WHERE e.provider = @provider AND e.version > 0
