CREATE TABLE IF NOT EXISTS tenant_profiles (
  tenant_id STRING NOT NULL,
  company_name STRING,
  admin_email STRING,
  status STRING,
  created_at TIMESTAMP,
  updated_at TIMESTAMP
)
CLUSTER BY tenant_id
