CREATE TABLE IF NOT EXISTS tenant_subscriptions (
  subscription_id STRING NOT NULL,
  tenant_id STRING NOT NULL,
  plan_name STRING,
  status STRING,
  daily_limit INT64,
  monthly_limit INT64,
  concurrent_limit INT64,
  created_at TIMESTAMP,
  updated_at TIMESTAMP,
  monthly_cost_limit_usd FLOAT64,
  max_priority INT64,
  max_schedules INT64,
  max_queued_runs INT64,
  max_watchers INT64,
  requests_per_minute INT64,
  max_export_bytes INT64
)
CLUSTER BY tenant_id
