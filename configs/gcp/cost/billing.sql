-- The SQL of billing.yml. The run's own staging table replaces x_staging_gcp_billing.

-- name: billing_checks
-- Rules that no check kind covers: one row a check, failing_rows 0 if it passes. Reads only.
-- param: run_days ARRAY<DATE>
SELECT c.check_name, c.failing_rows, c.observed_value
FROM (
  SELECT [
    STRUCT(
      'usage_on_the_date' AS check_name,
      COUNTIF(r.usage_start_time IS NULL OR DATE(r.usage_start_time) NOT IN UNNEST(@run_days)) AS failing_rows,
      CAST(COUNTIF(DATE(r.usage_start_time) IN UNNEST(@run_days)) AS STRING) AS observed_value),
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
-- A staged row as a row of billing_cost_daily: every column, by name. Reads only.
-- param: loaded_at TIMESTAMP
-- param: pipeline_logging_id STRING
SELECT
  DATE(s.usage_start_time) AS usage_date,
  s.billing_account_id AS billing_account_id,
  s.service.id AS service_id,
  s.service.description AS service_description,
  s.sku.id AS sku_id,
  s.sku.description AS sku_description,
  s.usage_start_time AS usage_start_time,
  s.usage_end_time AS usage_end_time,
  s.project.id AS project_id,
  s.project.name AS project_name,
  s.project.number AS project_number,
  s.location.location AS location,
  s.location.region AS region,
  s.location.zone AS zone,
  s.resource.name AS resource_name,
  s.resource.global_name AS resource_global_name,
  PARSE_JSON(s.labels_json) AS labels,
  PARSE_JSON(s.system_labels_json) AS system_labels,
  s.usage.amount AS usage_amount,
  s.usage.unit AS usage_unit,
  s.usage.amount_in_pricing_units AS usage_amount_in_pricing_units,
  s.usage.pricing_unit AS usage_pricing_unit,
  s.cost AS cost,
  s.credits_total AS credits_total,
  s.cost + s.credits_total AS net_cost,
  s.cost_at_list AS cost_at_list,
  s.currency AS currency,
  s.currency_conversion_rate AS currency_conversion_rate,
  s.cost_type AS cost_type,
  s.invoice.month AS invoice_month,
  @loaded_at AS loaded_at,
  @pipeline_logging_id AS pipeline_logging_id,
  s.export_time AS export_time,
  s.location.country AS country,
  s.project.ancestry_numbers AS project_ancestry_numbers,
  PARSE_JSON(s.project_labels_json) AS project_labels,
  PARSE_JSON(s.project_ancestors_json) AS project_ancestors,
  PARSE_JSON(s.tags_json) AS tags,
  PARSE_JSON(s.credits_json) AS credits,
  s.price.effective_price AS price_effective_price,
  s.price.tier_start_amount AS price_tier_start_amount,
  s.price.unit AS price_unit,
  s.price.pricing_unit_quantity AS price_pricing_unit_quantity,
  s.price.list_price AS price_list_price,
  s.price.effective_price_default AS price_effective_price_default,
  s.price.list_price_consumption_model AS price_list_price_consumption_model,
  s.cost_at_effective_price_default AS cost_at_effective_price_default,
  s.cost_at_list_consumption_model AS cost_at_list_consumption_model,
  s.consumption_model.id AS consumption_model_id,
  s.consumption_model.description AS consumption_model_description,
  s.subscription.instance_id AS subscription_instance_id,
  s.transaction_type AS transaction_type,
  s.seller_name AS seller_name,
  s.adjustment_info.id AS adjustment_info_id,
  s.adjustment_info.description AS adjustment_info_description,
  s.adjustment_info.mode AS adjustment_info_mode,
  s.adjustment_info.type AS adjustment_info_type,
  s.invoice.publisher_type AS invoice_publisher_type,
  s.source_table AS source_table,
  PARSE_JSON(s.other_columns_json) AS other_columns
FROM x_staging_gcp_billing AS s
