-- The quota ledger. Columns that later releases added:
--   - runs_ended (with any outcome), bytes_billed (to the platform's project), bytes_read (billed to the tenant's project), slot_ms,
--     cost_usd (an estimate of both bills): what the runs of the day have used. It is counted when a run is settled, and stays when the
--     daily counters are reset.
--   - uncosted_runs: reservations that were settled by a process that does not know the cost. The process that knows it may still add it.
--   - reservations: the units that each id in live_runs took of the daily and monthly limits, and its run's trigger_type, as granted. An
--     entry stays in the row of the day on which the units count, while live_runs move into the next day's row. It is a separate column
--     because auth processes of the release before write live_runs as a whole, and could not write a struct with more fields.
CREATE TABLE IF NOT EXISTS tenant_usage_quotas (
  tenant_id STRING NOT NULL,
  usage_date DATE NOT NULL,
  pipelines_run_today INT64,
  pipelines_succeeded_today INT64,
  pipelines_failed_today INT64,
  pipelines_run_month INT64,
  concurrent_pipelines_running INT64,
  daily_limit INT64,
  monthly_limit INT64,
  concurrent_limit INT64,
  live_runs ARRAY<STRUCT<reservation_id STRING, lease_expires_at TIMESTAMP>>,
  last_updated TIMESTAMP,
  created_at TIMESTAMP,
  runs_ended INT64,
  bytes_billed INT64,
  bytes_read INT64,
  slot_ms INT64,
  cost_usd FLOAT64,
  uncosted_runs ARRAY<STRING>,
  reservations ARRAY<STRUCT<reservation_id STRING, units INT64, trigger_type STRING>>
)
PARTITION BY usage_date
CLUSTER BY tenant_id
