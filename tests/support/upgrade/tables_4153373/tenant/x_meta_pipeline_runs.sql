CREATE TABLE IF NOT EXISTS x_meta_pipeline_runs (
  pipeline_logging_id STRING NOT NULL,
  tenant_id STRING NOT NULL,
  pipeline_id STRING,
  user_id STRING,
  status STRING,
  trigger_type STRING,
  trigger_by STRING,
  run_id STRING,
  attempt INT64,
  parameters JSON,
  started_at TIMESTAMP,
  deadline_at TIMESTAMP,
  completed_at TIMESTAMP,
  duration_ms INT64,
  rows_processed INT64,
  error_message STRING
)
CLUSTER BY pipeline_logging_id
