-- All statements of credentials. `tenant_cloud_credentials` is its own table; the last block writes to a tenant's dataset.
--
-- BigQuery does not enforce keys, so two processes that set the same credentials for the first time at once may leave two rows. Both have
-- the same derived credential_id, each ciphertext decrypts with it, and every reader takes the newest: one logical credential.

-- name: find_credential
-- Reads only.
-- param: tenant_id STRING
-- param: provider STRING
SELECT credential_id, tenant_id, provider, kms_key_version, created_by_user_id, created_at, updated_by_user_id, updated_at,
  token_audience
FROM tenant_cloud_credentials
WHERE tenant_id = @tenant_id AND provider = @provider
ORDER BY COALESCE(updated_at, created_at) DESC
LIMIT 1

-- name: list_credentials
-- Reads only.
-- param: tenant_id STRING
SELECT credential_id, tenant_id, provider, kms_key_version, created_by_user_id, created_at, updated_by_user_id, updated_at,
  token_audience
FROM tenant_cloud_credentials
WHERE tenant_id = @tenant_id
QUALIFY ROW_NUMBER() OVER (PARTITION BY provider ORDER BY COALESCE(updated_at, created_at) DESC) = 1
ORDER BY provider

-- name: find_sealed_credentials
-- Reads only.
-- param: tenant_ids ARRAY<STRING>
-- param: providers ARRAY<STRING>
SELECT credential_id, tenant_id, provider, encrypted_credentials, kms_key_version, token_audience
FROM tenant_cloud_credentials
WHERE tenant_id IN UNNEST(@tenant_ids) AND provider IN UNNEST(@providers)
QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id, provider ORDER BY COALESCE(updated_at, created_at) DESC) = 1

-- name: insert_credential
-- A replay inserts nothing: the row exists. It inserts nothing either if another process was first; the caller then reads back whose row it
-- is.
-- param: credential_id STRING
-- param: tenant_id STRING
-- param: provider STRING
-- param: encrypted_credentials BYTES
-- param: kms_key_version STRING
-- param: token_audience STRING
-- param: user_id STRING
-- param: at TIMESTAMP
INSERT INTO tenant_cloud_credentials
  (credential_id, tenant_id, provider, encrypted_credentials, kms_key_version, token_audience, created_by_user_id, created_at)
SELECT @credential_id, @tenant_id, @provider, @encrypted_credentials, @kms_key_version, @token_audience, @user_id, @at
FROM (SELECT 1)
WHERE NOT EXISTS (
  SELECT 1 FROM tenant_cloud_credentials AS there WHERE there.tenant_id = @tenant_id AND there.provider = @provider
)

-- name: update_credential
-- A replay writes the same values again. It names the id in the ciphertext's associated data, so that no row ever has a ciphertext that
-- cannot be decrypted with the row's own id.
-- param: credential_id STRING
-- param: tenant_id STRING
-- param: provider STRING
-- param: encrypted_credentials BYTES
-- param: kms_key_version STRING
-- param: token_audience STRING
-- param: user_id STRING
-- param: at TIMESTAMP
UPDATE tenant_cloud_credentials
SET
  encrypted_credentials = @encrypted_credentials,
  kms_key_version = @kms_key_version,
  token_audience = @token_audience,
  updated_by_user_id = @user_id,
  updated_at = @at
WHERE tenant_id = @tenant_id AND provider = @provider AND credential_id = @credential_id

-- name: delete_credentials
-- A replay deletes nothing: the rows are gone.
-- param: tenant_id STRING
-- param: provider STRING
DELETE FROM tenant_cloud_credentials WHERE tenant_id = @tenant_id AND provider = @provider

-- name: insert_audit_row
-- For a table that cannot be streamed to yet. A replay inserts nothing: log_id exists.
-- param: rows ARRAY<STRUCT<log_id STRING, tenant_id STRING, user_id STRING, action STRING, provider STRING, timestamp TIMESTAMP>>
INSERT INTO x_meta_step_logs (log_id, tenant_id, user_id, action, provider, timestamp)
SELECT a.log_id, a.tenant_id, a.user_id, a.action, a.provider, a.timestamp
FROM UNNEST(@rows) AS a
WHERE NOT EXISTS (SELECT 1 FROM x_meta_step_logs AS there WHERE there.log_id = a.log_id)
