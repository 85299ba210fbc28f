-- claimed_by: the claim of the executing process, a random id. is_final: it FAILED and another attempt would fail, too. Both are NULL in
-- rows written by executors from before these columns.
-- What the run has used, in all tries of its steps; NULL: it is RUNNING or has just completed, its executor died, or it is older than these
-- columns.
-- bytes_billed: of query jobs in the platform's project, on its bill. slot_ms: of all its jobs. bytes_read: of the tenant's own data,
-- through the Storage Read API or by query jobs, on the bill of the tenant's project. cost_usd: an estimate of both bills together, at the
-- prices that the executor is configured with; the platform's part of it is bytes_billed at the price of queries.
-- trace_id: of the OpenTelemetry trace of its execution, 32 lower-case hex digits; NULL: it was not traced, or is older than this column.
CREATE TABLE IF NOT EXISTS x_meta_pipeline_runs (
  pipeline_logging_id STRING NOT NULL,
  tenant_id STRING NOT NULL,
  pipeline_id STRING,
  user_id STRING,
  status STRING,
  trigger_type STRING,
  trigger_by STRING,
  run_id STRING,
  attempt INT64,
  parameters JSON,
  started_at TIMESTAMP,
  deadline_at TIMESTAMP,
  completed_at TIMESTAMP,
  duration_ms INT64,
  rows_processed INT64,
  error_message STRING,
  claimed_by STRING,
  is_final BOOL,
  bytes_billed INT64,
  slot_ms INT64,
  bytes_read INT64,
  cost_usd FLOAT64,
  trace_id STRING
)
CLUSTER BY pipeline_logging_id
