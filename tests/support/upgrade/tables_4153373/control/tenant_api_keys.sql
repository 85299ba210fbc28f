CREATE TABLE IF NOT EXISTS tenant_api_keys (
  api_key_id STRING NOT NULL,
  tenant_id STRING NOT NULL,
  api_key_hash STRING NOT NULL,
  is_active BOOL,
  scopes ARRAY<STRING>,
  expires_at TIMESTAMP,
  created_at TIMESTAMP,
  last_used_at TIMESTAMP
)
CLUSTER BY api_key_hash
