CREATE TABLE IF NOT EXISTS tenant_pipeline_configs (
  config_id STRING NOT NULL,
  tenant_id STRING NOT NULL,
  provider STRING,
  domain STRING,
  pipeline_template STRING,
  schedule_cron STRING,
  timezone STRING,
  is_active BOOL,
  priority INT64,
  parameters JSON,
  max_retries INT64,
  catch_up STRING,
  next_run_time TIMESTAMP,
  last_run_time TIMESTAMP,
  last_run_status STRING,
  created_by_user_id STRING,
  created_at TIMESTAMP,
  updated_at TIMESTAMP
)
CLUSTER BY tenant_id
