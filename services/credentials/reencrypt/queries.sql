-- All statements about the key versions of `tenant_cloud_credentials`.

-- name: count_key_versions
-- Reads only, two columns.
SELECT kms_key_version, COUNT(*) AS credentials FROM tenant_cloud_credentials GROUP BY kms_key_version ORDER BY kms_key_version

-- name: list_outdated_credentials
-- Reads only. Rows of the same tenant and provider stay on one page: two processes that set them first at once have left both. Only names
-- are sorted, no ciphertexts.
-- param: primaries ARRAY<STRING>
-- param: after_tenant_id STRING
-- param: after_provider STRING
-- param: page_size INT64
SELECT c.credential_id, c.tenant_id, c.provider, c.encrypted_credentials, c.kms_key_version
FROM tenant_cloud_credentials AS c
JOIN (
  SELECT DISTINCT t.tenant_id, t.provider
  FROM tenant_cloud_credentials AS t
  WHERE
    (t.kms_key_version IS NULL OR t.kms_key_version NOT IN UNNEST(@primaries))
    AND (t.tenant_id > @after_tenant_id OR (t.tenant_id = @after_tenant_id AND t.provider > @after_provider))
  ORDER BY t.tenant_id, t.provider
  LIMIT @page_size
) AS page
  ON page.tenant_id = c.tenant_id AND page.provider = c.provider
WHERE c.kms_key_version IS NULL OR c.kms_key_version NOT IN UNNEST(@primaries)
ORDER BY c.tenant_id, c.provider

-- name: replace_ciphertexts
-- A compare-and-set on the old ciphertext: credentials that were set or deleted since they were read stay unchanged. A replay changes
-- nothing, because the old ciphertext is gone. The row still says when the credentials were set, by which user, and what is known of their
-- access.
-- param: moves ARRAY<STRUCT<credential_id STRING, tenant_id STRING, provider STRING, old_ciphertext BYTES, new_ciphertext BYTES, kms_key_version STRING, moved_at TIMESTAMP>>
UPDATE tenant_cloud_credentials AS c
SET
  encrypted_credentials = m.new_ciphertext,
  kms_key_version = m.kms_key_version,
  reencrypted_at = m.moved_at
FROM UNNEST(@moves) AS m
WHERE
  c.tenant_id = m.tenant_id
  AND c.provider = m.provider
  AND c.credential_id = m.credential_id
  AND c.encrypted_credentials = m.old_ciphertext
