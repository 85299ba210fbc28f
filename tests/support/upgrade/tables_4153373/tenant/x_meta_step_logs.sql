CREATE TABLE IF NOT EXISTS x_meta_step_logs (
  log_id STRING NOT NULL,
  tenant_id STRING NOT NULL,
  user_id STRING,
  pipeline_logging_id STRING,
  step_id STRING,
  step_type STRING,
  step_index INT64,
  attempt INT64,
  action STRING,
  provider STRING,
  status STRING,
  rows_processed INT64,
  duration_ms INT64,
  error_message STRING,
  metadata JSON,
  timestamp TIMESTAMP
)
CLUSTER BY pipeline_logging_id
