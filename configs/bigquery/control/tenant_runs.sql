-- The runs of all tenants, for operators: one row when a run begins, one when it ends. Executors stream them in the background, so rows may
-- be missing or written twice: readers fold the rows of a run. x_meta_pipeline_runs in the tenant's dataset is what counts.
-- pipeline_id: without the tenant, e.g. gcp-cost-billing. completed_at, cost_usd: as in the run's row; error_message without the tenant's figures.
CREATE TABLE IF NOT EXISTS tenant_runs (
  entry_id STRING NOT NULL,
  tenant_id STRING NOT NULL,
  pipeline_logging_id STRING NOT NULL,
  pipeline_id STRING,
  status STRING,
  trigger_type STRING,
  started_at TIMESTAMP,
  completed_at TIMESTAMP,
  error_message STRING,
  cost_usd FLOAT64,
  written_at TIMESTAMP
)
PARTITION BY DATE(started_at)
CLUSTER BY tenant_id
