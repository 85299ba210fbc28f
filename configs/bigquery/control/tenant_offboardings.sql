-- The proof that a tenant was offboarded: one row for each call of OffboardTenant that closed it or found something left to end. Rows are
-- kept forever. The counts say how much that call has ended. A call that broke off has no completed_at, and the next call continues it.
-- dataset: KEPT, DELETED or ABSENT. DELETING is written before the deletion; if the call is killed then, the next call completes it.
-- credentials_destroyed: providers. request_id: finds the operator in the audit log. exported: for a call with an export_uri, what it and
-- earlier calls have exported.
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
