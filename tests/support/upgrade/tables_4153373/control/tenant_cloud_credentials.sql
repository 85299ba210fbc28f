CREATE TABLE IF NOT EXISTS tenant_cloud_credentials (
  credential_id STRING NOT NULL,
  tenant_id STRING NOT NULL,
  provider STRING NOT NULL,
  encrypted_credentials BYTES NOT NULL,
  kms_key_version STRING,
  created_by_user_id STRING,
  created_at TIMESTAMP,
  updated_by_user_id STRING,
  updated_at TIMESTAMP
)
CLUSTER BY tenant_id
