CREATE TABLE IF NOT EXISTS tenant_usage_quotas (
  tenant_id STRING NOT NULL,
  usage_date DATE NOT NULL,
  pipelines_run_today INT64,
  pipelines_succeeded_today INT64,
  pipelines_failed_today INT64,
  pipelines_run_month INT64,
  concurrent_pipelines_running INT64,
  daily_limit INT64,
  monthly_limit INT64,
  concurrent_limit INT64,
  live_runs ARRAY<STRUCT<reservation_id STRING, lease_expires_at TIMESTAMP>>,
  last_updated TIMESTAMP,
  created_at TIMESTAMP
)
PARTITION BY usage_date
CLUSTER BY tenant_id
