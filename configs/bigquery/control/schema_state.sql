-- The version of the control dataset, and the bootstrap that is upgrading it now. The one row is created with the table, so two bootstraps
-- change the same row. version: the last migration in `applied`. The lease of a bootstrap that died expires.
CREATE TABLE IF NOT EXISTS schema_state (
  version INT64 NOT NULL,
  locked_by STRING,
  lease_expires_at TIMESTAMP,
  applied ARRAY<STRUCT<version INT64, name STRING, applied_at TIMESTAMP>>
)
AS SELECT
  0 AS version,
  CAST(NULL AS STRING) AS locked_by,
  CAST(NULL AS TIMESTAMP) AS lease_expires_at,
  CAST([] AS ARRAY<STRUCT<version INT64, name STRING, applied_at TIMESTAMP>>) AS applied
