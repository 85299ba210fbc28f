CREATE TABLE IF NOT EXISTS x_meta_dq_results (
  dq_result_id STRING NOT NULL,
  tenant_id STRING NOT NULL,
  user_id STRING,
  pipeline_logging_id STRING,
  step_id STRING,
  table_name STRING,
  check_name STRING,
  severity STRING,
  status STRING,
  observed_value STRING,
  threshold STRING,
  failing_rows INT64,
  executed_at TIMESTAMP,
  sample_rows JSON
)
CLUSTER BY pipeline_logging_id
