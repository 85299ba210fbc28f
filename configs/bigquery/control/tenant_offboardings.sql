-- The proof that a tenant was ended: one row for each call of OffboardTenant that closed it or found something left to end, kept for ever. The
-- counts are of what that call has ended; a call that broke off has no completed_at, and the next one continues it. dataset: KEPT, DELETED or
-- ABSENT; DELETING is written before the deletion, and a call that was killed behind it is completed by the next. credentials_destroyed: providers. request_id: finds the operator in the audit log. exported: of a call with an export_uri, what is
-- exported, also by calls before it.
CREATE TABLE IF NOT EXISTS tenant_offboardings (
  offboarding_id STRING NOT NULL,
  tenant_id STRING NOT NULL,
  offboarded_at TIMESTAMP,
  completed_at TIMESTAMP,
  dataset STRING,
  keys_revoked INT64,
  schedules_stopped INT64,
  runs_dropped INT64,
  runs_cancelled INT64,
  credentials_destroyed ARRAY<STRING>,
  request_id STRING,
  export_uri STRING,
  exported ARRAY<STRUCT<table_name STRING, row_count INT64, uri STRING>>
)
CLUSTER BY tenant_id
