CREATE TABLE IF NOT EXISTS pipeline_execution_queue (
  run_id STRING NOT NULL,
  config_id STRING NOT NULL,
  tenant_id STRING NOT NULL,
  pipeline_id STRING,
  state STRING,
  priority INT64,
  scheduled_time TIMESTAMP,
  added_at TIMESTAMP,
  not_before TIMESTAMP,
  attempt INT64,
  processing_started_at TIMESTAMP,
  claimed_by STRING,
  lease_expires_at TIMESTAMP
)
CLUSTER BY state
