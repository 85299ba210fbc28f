-- resumes_as: the status that a SUSPENDED tenant goes back to; NULL: ACTIVE. location: of the tenant's dataset; NULL: the installation's.
-- located_at: when it was fixed, before the dataset was made; NULL: not yet, or the dataset is older than this column.
CREATE TABLE IF NOT EXISTS tenant_profiles (
  tenant_id STRING NOT NULL,
  company_name STRING,
  admin_email STRING,
  status STRING,
  created_at TIMESTAMP,
  updated_at TIMESTAMP,
  resumes_as STRING,
  location STRING,
  located_at TIMESTAMP
)
CLUSTER BY tenant_id
