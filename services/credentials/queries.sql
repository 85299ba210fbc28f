-- All statements of credentials. The service owns `tenant_cloud_credentials`. The last block writes to a tenant's dataset.
--
-- BigQuery does not enforce keys, so two processes that set the same credentials for the first time at once may leave two rows. Both rows
-- have the same derived credential_id, which decrypts each ciphertext, and every reader takes the newest row. So they are one credential.

-- name: find_credential
-- Reads only.
-- param: tenant_id STRING
-- param: provider STRING
SELECT
  credential_id,
  tenant_id,
  provider,
  kms_key_version,
  COALESCE(GREATEST(reencrypted_at, COALESCE(updated_at, created_at)), updated_at, created_at) AS sealed_at,
  created_by_user_id,
  created_at,
  updated_by_user_id,
  updated_at,
  token_audience,
  access_status,
  access_checked_at,
  access_problem,
  access_export,
  delivery_status,
  delivered_at,
  delivery_problem
FROM tenant_cloud_credentials
WHERE tenant_id = @tenant_id AND provider = @provider
ORDER BY COALESCE(updated_at, created_at) DESC
LIMIT 1

-- name: list_credentials
-- Reads only.
-- param: tenant_id STRING
SELECT
  credential_id,
  tenant_id,
  provider,
  kms_key_version,
  COALESCE(GREATEST(reencrypted_at, COALESCE(updated_at, created_at)), updated_at, created_at) AS sealed_at,
  created_by_user_id,
  created_at,
  updated_by_user_id,
  updated_at,
  token_audience,
  access_status,
  access_checked_at,
  access_problem,
  access_export,
  delivery_status,
  delivered_at,
  delivery_problem
FROM tenant_cloud_credentials
WHERE tenant_id = @tenant_id
QUALIFY ROW_NUMBER() OVER (PARTITION BY provider ORDER BY COALESCE(updated_at, created_at) DESC) = 1
ORDER BY provider

-- name: find_sealed_credentials
-- Reads only.
-- param: tenant_ids ARRAY<STRING>
-- param: providers ARRAY<STRING>
SELECT
  credential_id,
  tenant_id,
  provider,
  encrypted_credentials,
  kms_key_version,
  token_audience,
  COALESCE(updated_at, created_at) AS set_at
FROM tenant_cloud_credentials
WHERE tenant_id IN UNNEST(@tenant_ids) AND provider IN UNNEST(@providers)
QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id, provider ORDER BY COALESCE(updated_at, created_at) DESC) = 1

-- name: insert_credential
-- A replay inserts nothing, because the row exists. If another process was first, nothing is inserted either, and the caller then reads
-- whose row it is. An INSERT conflicts with nothing, so a concurrent offboarding may be deleting the tenant's rows. It deletes a row that
-- was inserted before it. If the row is inserted later, the SELECT, which follows the INSERT, shows that the tenant is closed, and the
-- caller deletes the row.
-- param: credential_id STRING
-- param: tenant_id STRING
-- param: provider STRING
-- param: encrypted_credentials BYTES
-- param: kms_key_version STRING
-- param: token_audience STRING
-- param: user_id STRING
-- param: at TIMESTAMP
-- param: access_status STRING
-- param: access_export STRING
DECLARE inserted INT64 DEFAULT 0;
INSERT INTO tenant_cloud_credentials
  (
    credential_id,
    tenant_id,
    provider,
    encrypted_credentials,
    kms_key_version,
    token_audience,
    created_by_user_id,
    created_at,
    access_status,
    access_checked_at,
    access_export
  )
SELECT
  @credential_id,
  @tenant_id,
  @provider,
  @encrypted_credentials,
  @kms_key_version,
  @token_audience,
  @user_id,
  @at,
  @access_status,
  IF(@access_status IS NULL, NULL, @at),
  @access_export
FROM (SELECT 1)
WHERE NOT EXISTS (
  SELECT 1 FROM tenant_cloud_credentials AS there WHERE there.tenant_id = @tenant_id AND there.provider = @provider
);
SET inserted = @@row_count;
SELECT inserted > 0 AS is_new, EXISTS (SELECT 1 FROM offboarded_tenants AS o WHERE o.tenant_id = @tenant_id) AS is_offboarded

-- name: update_credential
-- A replay writes the same values again. Results about the earlier credentials, of access checks and of deliveries, are deleted. The
-- statement names the id in the ciphertext's associated data, so that every row's ciphertext can be decrypted with the row's own id.
-- param: credential_id STRING
-- param: tenant_id STRING
-- param: provider STRING
-- param: encrypted_credentials BYTES
-- param: kms_key_version STRING
-- param: token_audience STRING
-- param: user_id STRING
-- param: at TIMESTAMP
-- param: access_status STRING
-- param: access_export STRING
UPDATE tenant_cloud_credentials
SET
  encrypted_credentials = @encrypted_credentials,
  kms_key_version = @kms_key_version,
  token_audience = @token_audience,
  updated_by_user_id = @user_id,
  updated_at = @at,
  access_status = @access_status,
  access_checked_at = IF(@access_status IS NULL, NULL, @at),
  access_problem = NULL,
  access_export = @access_export,
  delivery_status = NULL,
  delivered_at = NULL,
  delivery_problem = NULL
WHERE tenant_id = @tenant_id AND provider = @provider AND credential_id = @credential_id

-- name: delete_credentials
-- A replay deletes nothing: the rows are gone.
-- param: tenant_id STRING
-- param: provider STRING
DELETE FROM tenant_cloud_credentials WHERE tenant_id = @tenant_id AND provider = @provider

-- name: destroy_credentials
-- All of an offboarded tenant. A replay deletes nothing: the rows are gone.
-- param: tenant_id STRING
DELETE FROM tenant_cloud_credentials WHERE tenant_id = @tenant_id

-- name: list_due_access_checks
-- Reads only.
-- param: providers ARRAY<STRING>
-- param: checked_before TIMESTAMP
-- param: page_size INT64
SELECT
  n.credential_id,
  n.tenant_id,
  n.provider,
  n.encrypted_credentials,
  n.kms_key_version,
  n.set_at,
  n.access_status,
  n.access_export
FROM (
  SELECT
    c.credential_id,
    c.tenant_id,
    c.provider,
    c.encrypted_credentials,
    c.kms_key_version,
    COALESCE(c.updated_at, c.created_at) AS set_at,
    c.access_status,
    c.access_export,
    c.access_checked_at
  FROM tenant_cloud_credentials AS c
  WHERE c.provider IN UNNEST(@providers)
  QUALIFY ROW_NUMBER() OVER (PARTITION BY c.tenant_id, c.provider ORDER BY COALESCE(c.updated_at, c.created_at) DESC) = 1
) AS n
WHERE n.access_checked_at IS NULL OR n.access_checked_at < @checked_before
ORDER BY n.access_checked_at, n.tenant_id, n.provider
LIMIT @page_size

-- name: record_access_checks
-- A replay writes the same values again. A result is written only to the credentials that were checked, and never over a later check's
-- result. So two executors may check the same credentials at once, and a tenant may set new ones meanwhile. UNKNOWN keeps the result of the
-- last check.
-- param: results ARRAY<STRUCT<tenant_id STRING, provider STRING, set_at TIMESTAMP, checked_at TIMESTAMP, access_status STRING, access_problem STRING, access_export STRING>>
UPDATE tenant_cloud_credentials AS c
SET
  access_status = IF(r.access_status = 'UNKNOWN', c.access_status, r.access_status),
  access_problem = IF(r.access_status = 'UNKNOWN', c.access_problem, NULLIF(r.access_problem, '')),
  access_export = COALESCE(NULLIF(r.access_export, ''), c.access_export),
  access_checked_at = r.checked_at
FROM UNNEST(@results) AS r
WHERE
  c.tenant_id = r.tenant_id
  AND c.provider = r.provider
  AND COALESCE(c.updated_at, c.created_at) = r.set_at
  AND (c.access_checked_at IS NULL OR c.access_checked_at <= r.checked_at)

-- name: record_deliveries
-- A replay writes the same values again. An outcome is written only to the target that was tried, and never over a later try's outcome.
-- param: outcomes ARRAY<STRUCT<tenant_id STRING, provider STRING, set_at TIMESTAMP, delivered_at TIMESTAMP, delivery_status STRING, delivery_problem STRING>>
UPDATE tenant_cloud_credentials AS c
SET delivery_status = o.delivery_status, delivery_problem = NULLIF(o.delivery_problem, ''), delivered_at = o.delivered_at
FROM UNNEST(@outcomes) AS o
WHERE
  c.tenant_id = o.tenant_id
  AND c.provider = o.provider
  AND COALESCE(c.updated_at, c.created_at) = o.set_at
  AND (c.delivered_at IS NULL OR c.delivered_at <= o.delivered_at)

-- name: insert_audit_row
-- For a table that cannot be streamed to yet. A replay inserts nothing: log_id exists.
-- param: rows ARRAY<STRUCT<log_id STRING, tenant_id STRING, user_id STRING, action STRING, provider STRING, timestamp TIMESTAMP>>
INSERT INTO x_meta_step_logs (log_id, tenant_id, user_id, action, provider, timestamp)
SELECT a.log_id, a.tenant_id, a.user_id, a.action, a.provider, a.timestamp
FROM UNNEST(@rows) AS a
WHERE NOT EXISTS (SELECT 1 FROM x_meta_step_logs AS there WHERE there.log_id = a.log_id)
