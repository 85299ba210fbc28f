-- Which runs may still publish. A publishing transaction changes the row of its run last, and only while it is OPEN and has the claimed_by
-- of the run's row; one that also ends its run changes the run's own row instead. A run that ends as FAILED or CANCELLED closes its row
-- first (services/executor/queries.sql, end_run). It is a table of its own, because BigQuery lets no other statement change a table that an
-- open transaction has changed, and cancels a transaction whose table another statement changes meanwhile ("Multi-statement transactions"),
-- and every run of the tenant changes x_meta_pipeline_runs.
CREATE TABLE IF NOT EXISTS x_meta_publish_fences (
  pipeline_logging_id STRING NOT NULL,
  state STRING,
  updated_at TIMESTAMP,
  claimed_by STRING
)
CLUSTER BY pipeline_logging_id
