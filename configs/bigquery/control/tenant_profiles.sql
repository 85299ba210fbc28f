-- resumes_as: the status that a SUSPENDED tenant has again once it is resumed; NULL: ACTIVE. location: where the tenant's dataset is; NULL:
-- the installation's location. located_at: when the location was fixed, before the dataset was made; NULL: it is not fixed yet, or the
-- dataset is older than this column.
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
