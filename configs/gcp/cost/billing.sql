-- The SQL of billing.yml. x_staging_gcp_billing stands for the run's own staging table.

-- name: billing_checks
-- What no kind of check says: a row a check, failing_rows 0 where it holds. Reads only.
-- param: first_day DATE
-- param: last_day DATE
SELECT c.check_name, c.failing_rows, c.observed_value
FROM (
  SELECT [
    STRUCT(
      'usage_on_the_date' AS check_name,
      COUNTIF(r.usage_start_time IS NULL OR DATE(r.usage_start_time) NOT BETWEEN @first_day AND @last_day) AS failing_rows,
      CAST(COUNTIF(DATE(r.usage_start_time) BETWEEN @first_day AND @last_day) AS STRING) AS observed_value),
    STRUCT(
      'one_currency' AS check_name,
      IF(COUNT(DISTINCT r.currency) > 1, COUNT(*), 0) AS failing_rows,
      CAST(COUNT(DISTINCT r.currency) AS STRING) AS observed_value),
    STRUCT('credits_not_positive' AS check_name, COUNTIF(r.credits_total > 0) AS failing_rows, CAST(COUNTIF(r.credits_total > 0) AS STRING) AS observed_value)
  ] AS checks
  FROM x_staging_gcp_billing AS r
) AS m
CROSS JOIN UNNEST(m.checks) AS c

-- name: billing_publish
-- The fenced replace. The UPDATE of the run's own row is the fence: a run that is no longer RUNNING, or another attempt, changes 0 rows and
-- publishes nothing. Two runs of one day both delete the other's rows first; BigQuery cancels one of two transactions that change the same
-- table at once, and the retry then starts from what the other one committed. Replayed, it replaces the rows with the same rows.
-- Days that had been published before: their cost is compared, for rows may arrive late.
-- param: pipeline_logging_id STRING
-- param: attempt INT64
-- param: first_day DATE
-- param: last_day DATE
-- param: source_rows INT64
-- param: loaded_at TIMESTAMP
DECLARE published BOOL DEFAULT FALSE;
DECLARE inserted INT64 DEFAULT 0;
DECLARE earlier ARRAY<STRUCT<usage_date DATE, currency STRING, cost FLOAT64>>;
DECLARE moved ARRAY<STRUCT<usage_date DATE, currency STRING, cost_before FLOAT64, cost_after FLOAT64>>;
BEGIN TRANSACTION;
UPDATE x_meta_pipeline_runs SET rows_processed = @source_rows
WHERE pipeline_logging_id = @pipeline_logging_id AND status = 'RUNNING' AND attempt = @attempt;
IF @@row_count = 0 THEN
  ROLLBACK TRANSACTION;
ELSE
  SET earlier = ARRAY(
    SELECT AS STRUCT b.usage_date, b.currency, IFNULL(SUM(b.net_cost), 0.0) AS cost
    FROM billing_cost_daily AS b
    WHERE b.usage_date BETWEEN @first_day AND @last_day
    GROUP BY b.usage_date, b.currency);
  DELETE FROM billing_cost_daily WHERE usage_date BETWEEN @first_day AND @last_day;
  INSERT INTO billing_cost_daily (
    usage_date, billing_account_id, service_id, service_description, sku_id, sku_description, usage_start_time, usage_end_time,
    project_id, project_name, project_number, location, region, zone, resource_name, resource_global_name, labels, system_labels,
    usage_amount, usage_unit, usage_amount_in_pricing_units, usage_pricing_unit, cost, credits_total, net_cost, cost_at_list,
    currency, currency_conversion_rate, cost_type, invoice_month, loaded_at, pipeline_logging_id
  )
  SELECT
    DATE(s.usage_start_time), s.billing_account_id, s.service.id, s.service.description, s.sku.id, s.sku.description, s.usage_start_time, s.usage_end_time,
    s.project.id, s.project.name, s.project.number, s.location.location, s.location.region, s.location.zone, s.resource.name, s.resource.global_name,
    PARSE_JSON(s.labels_json), PARSE_JSON(s.system_labels_json),
    s.usage.amount, s.usage.unit, s.usage.amount_in_pricing_units, s.usage.pricing_unit, s.cost, s.credits_total, s.cost + s.credits_total, s.cost_at_list,
    s.currency, s.currency_conversion_rate, s.cost_type, s.invoice.month, @loaded_at, @pipeline_logging_id
  FROM x_staging_gcp_billing AS s;
  SET inserted = @@row_count;
  SET moved = ARRAY(
    SELECT AS STRUCT d.usage_date, d.currency, SUM(d.cost_before) AS cost_before, SUM(d.cost_after) AS cost_after
    FROM (
      SELECT e.usage_date, e.currency, e.cost AS cost_before, 0.0 AS cost_after
      FROM UNNEST(earlier) AS e
      UNION ALL
      SELECT c.usage_date, c.currency, 0.0 AS cost_before, IFNULL(c.net_cost, 0.0) AS cost_after
      FROM billing_cost_daily AS c
      WHERE c.usage_date BETWEEN @first_day AND @last_day AND c.usage_date IN (SELECT e.usage_date FROM UNNEST(earlier) AS e)
    ) AS d
    GROUP BY d.usage_date, d.currency
    ORDER BY d.usage_date, d.currency);
  COMMIT TRANSACTION;
  SET published = TRUE;
END IF;
SELECT published, inserted AS rows_published, moved
