CREATE TABLE IF NOT EXISTS scheduled_pipeline_runs (
  run_id STRING NOT NULL,
  config_id STRING NOT NULL,
  tenant_id STRING NOT NULL,
  pipeline_id STRING,
  state STRING,
  scheduled_time TIMESTAMP,
  priority INT64,
  parameters JSON,
  pipeline_logging_id STRING,
  retry_count INT64,
  max_retries INT64,
  error_message STRING,
  created_at TIMESTAMP,
  started_at TIMESTAMP,
  completed_at TIMESTAMP
)
CLUSTER BY run_id
