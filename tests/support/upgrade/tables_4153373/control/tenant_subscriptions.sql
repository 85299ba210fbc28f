CREATE TABLE IF NOT EXISTS tenant_subscriptions (
  subscription_id STRING NOT NULL,
  tenant_id STRING NOT NULL,
  plan_name STRING,
  status STRING,
  daily_limit INT64,
  monthly_limit INT64,
  concurrent_limit INT64,
  created_at TIMESTAMP,
  updated_at TIMESTAMP
)
CLUSTER BY tenant_id
