-- The rows that billing_cost_daily takes from a Google Cloud billing export, nested as in the export, with its lists flattened. No table
-- has this name: a run creates its own, x_staging_gcp_billing_{pipeline_logging_id}_{attempt}, with these columns and an expiration. The
-- columns define what is read from the export. A column that an export lacks is NULL (standard exports have no resource). While rows are
-- read, the _json and _total columns are computed from lists, and other_columns_json from everything that no other column takes: see
-- services/executor/sources/gcp/rows/flatten.py.
CREATE TABLE IF NOT EXISTS x_staging_gcp_billing (
  billing_account_id STRING,
  service STRUCT<id STRING, description STRING>,
  sku STRUCT<id STRING, description STRING>,
  usage_start_time TIMESTAMP,
  usage_end_time TIMESTAMP,
  export_time TIMESTAMP,
  project STRUCT<id STRING, number STRING, name STRING, ancestry_numbers STRING>,
  project_labels_json STRING,
  project_ancestors_json STRING,
  labels_json STRING,
  system_labels_json STRING,
  tags_json STRING,
  location STRUCT<location STRING, country STRING, region STRING, zone STRING>,
  resource STRUCT<name STRING, global_name STRING>,
  cost FLOAT64,
  cost_at_list FLOAT64,
  cost_at_effective_price_default FLOAT64,
  cost_at_list_consumption_model FLOAT64,
  currency STRING,
  currency_conversion_rate FLOAT64,
  usage STRUCT<amount FLOAT64, unit STRING, amount_in_pricing_units FLOAT64, pricing_unit STRING>,
  price STRUCT<effective_price FLOAT64, tier_start_amount FLOAT64, unit STRING, pricing_unit_quantity FLOAT64, list_price FLOAT64, effective_price_default FLOAT64, list_price_consumption_model FLOAT64>,
  credits_total FLOAT64,
  credits_json STRING,
  consumption_model STRUCT<id STRING, description STRING>,
  subscription STRUCT<instance_id STRING>,
  invoice STRUCT<month STRING, publisher_type STRING>,
  cost_type STRING,
  transaction_type STRING,
  seller_name STRING,
  adjustment_info STRUCT<id STRING, description STRING, mode STRING, type STRING>,
  source_table STRING,
  other_columns_json STRING
)
