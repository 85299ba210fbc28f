-- Statements about published days and invoices. The default dataset is the tenant's own. compose.py composes the query of a question about
-- costs.

-- name: ledger_days
-- Reads only. The whole ledger: a row for each source and day.
SELECT source, usage_date, version, focus_version, state, last_loaded_at, is_loaded
FROM x_meta_cost_days

-- name: list_cost_days
-- Reads only.
-- param: first_day DATE
-- param: last_day DATE
-- param: source STRING
SELECT
  source, usage_date, row_count, sums, first_loaded_at, last_loaded_at, changed_at, version, focus_version, state, state_rule, source_table,
  pipeline_logging_id
FROM x_meta_cost_days
WHERE usage_date BETWEEN @first_day AND @last_day AND (@source IS NULL OR source = @source)
ORDER BY usage_date, source

-- name: list_cost_changes
-- Reads only. Pages are cut by key, not by offset, so that new changes do not shift them. The key is unique: at one moment there is one row
-- for each source, day, service and currency. The first and the last partition are given as dates, so that BigQuery prunes partitions.
-- param: first_day DATE
-- param: last_day DATE
-- param: first_partition DATE
-- param: last_partition DATE
-- param: changed_from TIMESTAMP
-- param: changed_before TIMESTAMP
-- param: service STRING
-- param: source STRING
-- param: after_final BOOL
-- param: after_changed_at TIMESTAMP
-- param: after_key STRING
-- param: row_limit INT64
SELECT
  c.source, c.usage_date, c.service, c.currency, c.cost_before, c.cost_after, c.delta, c.is_first_load, c.after_final, c.pipeline_logging_id,
  c.changed_at, c.page_key
FROM (
  SELECT
    d.source, d.usage_date, d.service, d.currency, d.cost_before, d.cost_after, d.delta, d.is_first_load, d.after_final,
    d.pipeline_logging_id, d.changed_at,
    -- Shortened and with a digest, because page tokens are of bounded length and names of services are not.
    CONCAT(
      d.source, ' ', CAST(d.usage_date AS STRING), ' ', LEFT(IFNULL(d.service, ''), 24), ' ', IFNULL(d.currency, ''), ' ',
      TO_HEX(SHA256(TO_JSON_STRING([IFNULL(d.service, ''), IFNULL(d.pipeline_logging_id, '')])))
    ) AS page_key
  FROM x_meta_cost_changes AS d
  WHERE DATE(d.changed_at) BETWEEN @first_partition AND @last_partition
    AND (@changed_from IS NULL OR d.changed_at >= @changed_from)
    AND (@changed_before IS NULL OR d.changed_at < @changed_before)
    AND (@first_day IS NULL OR d.usage_date >= @first_day)
    AND (@last_day IS NULL OR d.usage_date <= @last_day)
    AND (@service IS NULL OR d.service = @service)
    AND (@source IS NULL OR d.source = @source)
    AND (@after_final IS NULL OR IFNULL(d.after_final, FALSE) = @after_final)
) AS c
WHERE @after_changed_at IS NULL OR c.changed_at < @after_changed_at OR (c.changed_at = @after_changed_at AND c.page_key > @after_key)
ORDER BY c.changed_at DESC, c.page_key
LIMIT @row_limit

-- name: invoice_sums
-- Reads only. Each row's BilledCost is either split into a charge and a credit, or is as a whole a tax, rounding or an adjustment. So the
-- five add up to the total exactly. A billing period begins at midnight in the provider's timezone, which may be on the day before in UTC.
-- param: first_month STRING
-- param: last_month STRING
-- param: used_from DATE
-- param: used_to DATE
-- param: billing_account_id STRING
-- param: row_limit INT64
SELECT
  i.invoice_month, i.provider, i.billing_account_id, i.currency,
  SUM(IF(i.kind = 'charge', i.billed - i.credit, NUMERIC '0')) AS charges,
  SUM(IF(i.kind = 'charge', i.credit, NUMERIC '0')) AS credits,
  SUM(IF(i.kind = 'tax', i.billed, NUMERIC '0')) AS taxes,
  SUM(IF(i.kind = 'adjustment', i.billed, NUMERIC '0')) AS adjustments,
  SUM(IF(i.kind = 'rounding', i.billed, NUMERIC '0')) AS rounding,
  SUM(i.billed) AS total,
  SUM(IF(i.is_of_another_month, i.billed, NUMERIC '0')) AS used_in_other_months
FROM (
  SELECT
    FORMAT_TIMESTAMP('%Y-%m', TIMESTAMP_ADD(f.BillingPeriodStart, INTERVAL 12 HOUR)) AS invoice_month,
    f.ProviderName AS provider, f.BillingAccountId AS billing_account_id, f.BillingCurrency AS currency, f.BilledCost AS billed,
    CASE
      WHEN f.ChargeCategory = 'Tax' THEN 'tax'
      WHEN f.x_CostType = 'rounding_error' THEN 'rounding'
      WHEN f.ChargeCategory = 'Adjustment' OR f.ChargeClass = 'Correction' THEN 'adjustment'
      ELSE 'charge'
    END AS kind,
    COALESCE(f.x_CreditsTotal, IF(f.ChargeCategory = 'Credit', f.BilledCost, NUMERIC '0')) AS credit,
    f.ChargePeriodStart < f.BillingPeriodStart OR f.ChargePeriodStart >= f.BillingPeriodEnd AS is_of_another_month
  FROM focus_cost_daily AS f
  WHERE f.x_UsageDate BETWEEN @used_from AND @used_to AND (@billing_account_id IS NULL OR f.BillingAccountId = @billing_account_id)
) AS i
WHERE i.invoice_month BETWEEN @first_month AND @last_month
GROUP BY i.invoice_month, i.provider, i.billing_account_id, i.currency
LIMIT @row_limit

-- name: invoice_amounts
-- Reads only. For each month, account and currency, the row that was entered last counts.
SELECT invoice_month, billing_account_id, currency, amount, entered_by_user_id, entered_at
FROM x_meta_invoices
QUALIFY ROW_NUMBER() OVER (PARTITION BY invoice_month, billing_account_id, currency ORDER BY entered_at DESC, entry_id) = 1

-- name: insert_invoice_amount
-- A replay changes nothing: the row of this id exists. Two replays at the same instant could both insert; readers count one of them.
-- param: entry_id STRING
-- param: invoice_month STRING
-- param: billing_account_id STRING
-- param: currency STRING
-- param: amount NUMERIC
-- param: entered_by_user_id STRING
-- param: entered_at TIMESTAMP
INSERT INTO x_meta_invoices (entry_id, invoice_month, billing_account_id, currency, amount, entered_by_user_id, entered_at)
SELECT @entry_id, @invoice_month, @billing_account_id, @currency, @amount, @entered_by_user_id, @entered_at
FROM (SELECT 1 AS one) AS o
WHERE NOT EXISTS (SELECT 1 FROM x_meta_invoices AS i WHERE i.entry_id = @entry_id)
