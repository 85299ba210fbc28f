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

-- name: billing_rows
-- What is published: every column of billing_cost_daily, by name. Reads only.
-- param: pipeline_logging_id STRING
-- param: loaded_at TIMESTAMP
SELECT
  DATE(s.usage_start_time) AS usage_date, s.billing_account_id, s.service.id AS service_id, s.service.description AS service_description,
  s.sku.id AS sku_id, s.sku.description AS sku_description, s.usage_start_time, s.usage_end_time,
  s.project.id AS project_id, s.project.name AS project_name, s.project.number AS project_number,
  s.location.location, s.location.region, s.location.zone, s.resource.name AS resource_name, s.resource.global_name AS resource_global_name,
  PARSE_JSON(s.labels_json) AS labels, PARSE_JSON(s.system_labels_json) AS system_labels,
  s.usage.amount AS usage_amount, s.usage.unit AS usage_unit, s.usage.amount_in_pricing_units AS usage_amount_in_pricing_units,
  s.usage.pricing_unit AS usage_pricing_unit, s.cost, s.credits_total, s.cost + s.credits_total AS net_cost, s.cost_at_list,
  s.currency, s.currency_conversion_rate, s.cost_type, s.invoice.month AS invoice_month,
  @loaded_at AS loaded_at, @pipeline_logging_id AS pipeline_logging_id,
  CAST(NULL AS TIMESTAMP) AS export_time,
  CAST(NULL AS STRING) AS country,
  CAST(NULL AS STRING) AS project_ancestry_numbers,
  CAST(NULL AS JSON) AS project_labels,
  CAST(NULL AS JSON) AS project_ancestors,
  CAST(NULL AS JSON) AS tags,
  CAST(NULL AS JSON) AS credits,
  CAST(NULL AS FLOAT64) AS price_effective_price,
  CAST(NULL AS FLOAT64) AS price_tier_start_amount,
  CAST(NULL AS STRING) AS price_unit,
  CAST(NULL AS FLOAT64) AS price_pricing_unit_quantity,
  CAST(NULL AS FLOAT64) AS price_list_price,
  CAST(NULL AS FLOAT64) AS price_effective_price_default,
  CAST(NULL AS FLOAT64) AS price_list_price_consumption_model,
  CAST(NULL AS FLOAT64) AS cost_at_effective_price_default,
  CAST(NULL AS FLOAT64) AS cost_at_list_consumption_model,
  CAST(NULL AS STRING) AS consumption_model_id,
  CAST(NULL AS STRING) AS consumption_model_description,
  CAST(NULL AS STRING) AS subscription_instance_id,
  CAST(NULL AS STRING) AS transaction_type,
  CAST(NULL AS STRING) AS seller_name,
  CAST(NULL AS STRING) AS adjustment_info_id,
  CAST(NULL AS STRING) AS adjustment_info_description,
  CAST(NULL AS STRING) AS adjustment_info_mode,
  CAST(NULL AS STRING) AS adjustment_info_type,
  CAST(NULL AS STRING) AS invoice_publisher_type,
  CAST(NULL AS STRING) AS source_table,
  CAST(NULL AS JSON) AS other_columns
FROM x_staging_gcp_billing AS s
