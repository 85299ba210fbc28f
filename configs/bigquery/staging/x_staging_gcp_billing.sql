-- The part of a Google Cloud billing export that billing_cost_daily needs, nested as in the export, its lists flattened. Never made under this name: a run makes
-- its own, x_staging_gcp_billing_{pipeline_logging_id}_{attempt}, with these columns and an expiration. The columns say what is read from
-- the export; one that an export lacks (standard exports have no resource) is NULL here. The _json and _total ones are made of lists while
-- they are read: see services/executor/flattening.py.
CREATE TABLE IF NOT EXISTS x_staging_gcp_billing (
  billing_account_id STRING,
  service STRUCT<id STRING, description STRING>,
  sku STRUCT<id STRING, description STRING>,
  usage_start_time TIMESTAMP,
  usage_end_time TIMESTAMP,
  project STRUCT<id STRING, number STRING, name STRING>,
  labels_json STRING,
  system_labels_json STRING,
  location STRUCT<location STRING, region STRING, zone STRING>,
  resource STRUCT<name STRING, global_name STRING>,
  cost FLOAT64,
  currency STRING,
  currency_conversion_rate FLOAT64,
  usage STRUCT<amount FLOAT64, unit STRING, amount_in_pricing_units FLOAT64, pricing_unit STRING>,
  credits_total FLOAT64,
  invoice STRUCT<month STRING>,
  cost_type STRING,
  cost_at_list FLOAT64
)
